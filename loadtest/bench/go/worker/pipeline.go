package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"bench/internal/fetch"
	"bench/internal/picture"
)

const cacheControl = "public, max-age=31536000, immutable"

var stepSeconds = promauto.NewHistogramVec(
	prometheus.HistogramOpts{Name: "worker_step_seconds", Help: "Time of a step."}, []string{"step"},
)

// pipeline has the steps of consumer/worker/pipeline.py, and the notification and the delete that follow.
type pipeline struct {
	services
	fetcher *fetch.Client
	objects *s3.Client
	writes  writes
	decoder picture.Decoder
	// decodes limits the images that are decoded at the same time.
	decodes chan struct{}

	bucket, tagSecret, publicBaseURL string
}

func (p *pipeline) process(ctx context.Context, received sqstypes.Message) error {
	image := published{}
	if err := json.Unmarshal([]byte(aws.ToString(received.Body)), &image.message); err != nil {
		return fmt.Errorf("malformed message: %w", err)
	}
	note := notification{}
	steps := []struct {
		name string
		run  func() error
	}{
		{"fetch", func() (err error) {
			image.source, err = p.fetcher.Get(ctx, image.message.URL)
			return err
		}},
		{"inspect", func() error { return p.inspect(&image) }},
		{"store", func() error { return p.store(ctx, image) }},
		{"record", func() error { return p.writes.record(ctx, image.row(p.bucket)) }},
		{"complete", func() error { return p.writes.complete(ctx, image) }},
		{"notify", func() (err error) {
			if note, err = image.notification(p.publicBaseURL); err != nil {
				return err
			}
			return p.writes.notify(ctx, note)
		}},
		{"delete", func() error { return p.writes.remove(ctx, aws.ToString(received.ReceiptHandle)) }},
	}
	for _, step := range steps {
		started := time.Now()
		if err := step.run(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		stepSeconds.WithLabelValues(step.name).Observe(time.Since(started).Seconds())
	}
	return nil
}

func (p *pipeline) inspect(image *published) (err error) {
	p.decodes <- struct{}{}
	defer func() { <-p.decodes }()
	if image.metadata, err = picture.Inspect(image.source.Body, p.decoder); err != nil {
		return err
	}
	digest := sha256.Sum256(image.source.Body)
	image.sha256 = hex.EncodeToString(digest[:])
	image.key = objectKey(p.tagSecret, image.message.CustomerID, image.sha256, image.metadata.Extension)
	image.imageID, err = imageIDOf(image.message.RequestID)
	return err
}

func (p *pipeline) store(ctx context.Context, image published) error {
	digest, err := hex.DecodeString(image.sha256)
	if err != nil {
		return err
	}
	_, err = p.objects.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &p.bucket, Key: &image.key, Body: bytes.NewReader(image.source.Body),
		ContentType: &image.metadata.MediaType, CacheControl: aws.String(cacheControl),
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(digest)),
	})
	return err
}
