// Worker does the work of `python -m consumer` for a first delivery of a healthy image, with aws-sdk-go-v2 and net/http.
// It reads the same settings. It has no retries of its own, no requeues and no heartbeats, so it costs less than a program
// that keeps the promises of docs/guarantees.md.
//
//	worker          one call for each write; the standard library's decoders; no hash, no colour, no EXIF
//	worker -turbo   shared calls; libjpeg-turbo through cgo; everything that the consumer stores
//	worker -draft   the same at a fraction of the image's size, as VERIFICATION=draft
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"bench/internal/awsclient"
	"bench/internal/fetch"
	"bench/internal/picture"
)

// The consumer's defaults.
const (
	concurrency = 64
	receivers   = 2
	maxMessages = 10
	linger      = 5 * time.Millisecond
)

func main() {
	turbo := flag.Bool("turbo", false, "share calls, decode with libjpeg-turbo, and compute hash and colour")
	draft := flag.Bool("draft", false, "as -turbo, at a fraction of the image's size")
	flag.Parse()
	stopping, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	p, err := newPipeline(*turbo, *draft)
	if err != nil {
		log.Fatal(err)
	}
	go serveMetrics(os.Getenv("METRICS_HOST") + ":" + os.Getenv("METRICS_PORT"))
	if err := p.run(stopping); err != nil {
		log.Fatal(err)
	}
}

func newPipeline(turbo, draft bool) (*pipeline, error) {
	config, err := awsclient.Load(context.Background())
	if err != nil {
		return nil, err
	}
	allowed, err := allowedNetworks()
	if err != nil {
		return nil, err
	}
	s := services{
		rows:          dynamodb.NewFromConfig(config, func(o *dynamodb.Options) { o.HTTPClient = awsclient.HTTPClient() }),
		topic:         sns.NewFromConfig(config, func(o *sns.Options) { o.HTTPClient = awsclient.HTTPClient() }),
		queue:         sqs.NewFromConfig(config, func(o *sqs.Options) { o.HTTPClient = awsclient.HTTPClient() }),
		requestsTable: os.Getenv("REQUESTS_TABLE"),
		imagesTable:   os.Getenv("IMAGES_TABLE"),
		topicARN:      os.Getenv("TOPIC_ARN"),
		queueURL:      os.Getenv("QUEUE_URL"),
	}
	p := &pipeline{
		services: s,
		fetcher:  fetch.New(allowed),
		objects: s3.NewFromConfig(config, func(o *s3.Options) {
			o.HTTPClient = awsclient.HTTPClient()
			o.UsePathStyle = true
		}),
		writes:        single{s},
		decodes:       make(chan struct{}, runtime.GOMAXPROCS(0)),
		bucket:        os.Getenv("BUCKET"),
		tagSecret:     os.Getenv("CUSTOMER_TAG_KEY"),
		publicBaseURL: os.Getenv("PUBLIC_BASE_URL"),
	}
	if turbo || draft {
		p.writes, p.decoder = newBatched(s, linger), picture.Turbo
	}
	if draft {
		p.decoder = picture.TurboDraft
	}
	return p, nil
}

func allowedNetworks() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, each := range strings.FieldsFunc(os.Getenv("ALLOWED_NETWORKS"), func(r rune) bool { return r == ',' || r == ' ' }) {
		network, err := netip.ParsePrefix(each)
		if err != nil {
			return nil, err
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func serveMetrics(address string) {
	http.Handle("/metrics", promhttp.Handler())
	log.Fatal(http.ListenAndServe(address, nil))
}

// run processes messages until stopping ends.
func (p *pipeline) run(stopping context.Context) error {
	wait, err := strconv.Atoi(os.Getenv("RECEIVE_WAIT_S"))
	if err != nil {
		return err
	}
	messages := make(chan sqstypes.Message)
	var receiving, working sync.WaitGroup
	for range receivers {
		receiving.Go(func() { p.receive(stopping, int32(wait), messages) })
	}
	for range concurrency {
		working.Go(func() {
			for each := range messages {
				if err := p.process(context.Background(), each); err != nil {
					// The message becomes visible again after its timeout.
					log.Printf("%s: %v", aws.ToString(each.Body), err)
				}
			}
		})
	}
	receiving.Wait()
	close(messages)
	working.Wait()
	return nil
}

func (p *pipeline) receive(stopping context.Context, wait int32, messages chan<- sqstypes.Message) {
	for stopping.Err() == nil {
		// A stop does not cancel the call: messages of an unread answer would stay invisible until their timeout.
		answer, err := p.queue.ReceiveMessage(context.Background(), &sqs.ReceiveMessageInput{
			QueueUrl: &p.queueURL, MaxNumberOfMessages: maxMessages, WaitTimeSeconds: wait,
			MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{
				sqstypes.MessageSystemAttributeNameApproximateReceiveCount, sqstypes.MessageSystemAttributeNameSentTimestamp,
			},
		})
		if err != nil {
			log.Printf("receive: %v", err)
			time.Sleep(time.Second)
			continue
		}
		for _, each := range answer.Messages {
			messages <- each
		}
	}
}
