package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/google/uuid"

	"bench/internal/fetch"
	"bench/internal/picture"
)

// message has the members of core/model/message.py that a first delivery needs.
type message struct {
	RequestID  string `json:"request_id"`
	CustomerID string `json:"customer_id"`
	URL        string `json:"url"`
	Revision   int64  `json:"revision"`
	CreatedAt  int64  `json:"created_at"`
}

// published is one image that was stored.
type published struct {
	message  message
	source   *fetch.Image
	metadata *picture.Metadata
	imageID  string
	sha256   string
	key      string
}

// imageIDOf returns the id that core/model/image.py makes from a request's id: a UUID of version 5.
func imageIDOf(requestID string) (string, error) {
	namespace, err := uuid.Parse(requestID)
	if err != nil {
		return "", err
	}
	return uuid.NewHash(sha1.New(), namespace, []byte("image"), 5).String(), nil
}

// objectKey returns images/<2 hex>/<customer tag>/<sha256>.<extension>.
func objectKey(tagSecret, customerID, digest, extension string) string {
	mac := hmac.New(sha256.New, []byte(tagSecret))
	mac.Write([]byte(customerID))
	tag := hex.EncodeToString(mac.Sum(nil))[:20]
	return "images/" + digest[:2] + "/" + tag + "/" + digest + "." + extension
}

func text(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

func number(value int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(value, 10)}
}

// attribute is a member of a row. A row is a list, because the order of a statement's parameters matters.
type attribute struct {
	name  string
	value types.AttributeValue
}

func (p published) row(bucket string) []attribute {
	m, source := p.metadata, p.source
	metadata, provenance := attributes{}, attributes{}
	metadata.text("format", m.Format)
	metadata.text("mediaType", m.MediaType)
	metadata.number("width", m.Width)
	metadata.number("height", m.Height)
	metadata.text("mode", m.Mode)
	metadata.number("frames", m.Frames)
	metadata.number("bytes", len(source.Body))
	metadata.text("sha256", p.sha256)
	metadata.text("sourceSha256", p.sha256)
	metadata.text("perceptualHash", m.PerceptualHash)
	metadata.text("dominantColor", m.DominantColor)
	metadata.text("captureTime", m.CaptureTime)
	metadata.text("camera", m.Camera)
	provenance.text("finalUrl", source.FinalURL)
	provenance.number("redirects", source.Redirects)
	provenance.text("etag", source.ETag)
	provenance.text("lastModified", source.LastModified)
	provenance.text("declaredMediaType", source.MediaType)
	return []attribute{
		{"imageId", text(p.imageID)},
		{"requestId", text(p.message.RequestID)},
		{"customerId", text(p.message.CustomerID)},
		{"s3Url", text("s3://" + bucket + "/" + p.key)},
		{"createdAt", number(time.Now().UnixMilli())},
		{"metadata", &types.AttributeValueMemberM{Value: metadata}},
		{"provenance", &types.AttributeValueMemberM{Value: provenance}},
		{"requestCreatedAt", number(p.message.CreatedAt)},
	}
}

// attributes is a map without empty values.
type attributes map[string]types.AttributeValue

func (a attributes) text(name, value string) {
	if value != "" {
		a[name] = text(value)
	}
}

func (a attributes) number(name string, value int) {
	if value != 0 {
		a[name] = number(int64(value))
	}
}

// event is the JSON of consumer/notify/notification.py.
type event struct {
	NotificationID string        `json:"notificationId"`
	RequestID      string        `json:"requestId"`
	CustomerID     string        `json:"customerId"`
	URL            string        `json:"url"`
	Status         string        `json:"status"`
	Revision       int64         `json:"revision"`
	ImageID        string        `json:"imageId"`
	PublicURL      string        `json:"publicUrl"`
	Metadata       eventMetadata `json:"metadata"`
}

type eventMetadata struct {
	Format         string   `json:"format"`
	MediaType      string   `json:"mediaType"`
	Width          int      `json:"width"`
	Height         int      `json:"height"`
	Mode           string   `json:"mode"`
	Frames         int      `json:"frames"`
	Bytes          int      `json:"bytes"`
	SHA256         string   `json:"sha256"`
	SourceSHA256   string   `json:"sourceSha256"`
	PerceptualHash string   `json:"perceptualHash"`
	DominantColor  string   `json:"dominantColor"`
	CaptureTime    string   `json:"captureTime"`
	Camera         string   `json:"camera"`
	HadLocation    bool     `json:"hadLocation"`
	Duration       int      `json:"animationDurationMs"`
	Removed        []string `json:"removed"`
}

// notification has the fields of an SNS message.
type notification struct {
	subject, message string
	attributes       map[string]snstypes.MessageAttributeValue
}

func (p published) notification(publicBaseURL string) (notification, error) {
	revision := p.message.Revision + 1
	url := publicBaseURL + p.key
	m := p.metadata
	event, err := encode(event{
		fmt.Sprintf("%s:%d", p.message.RequestID, revision), p.message.RequestID, p.message.CustomerID, p.message.URL,
		"COMPLETED", revision, p.imageID, url,
		eventMetadata{
			m.Format, m.MediaType, m.Width, m.Height, m.Mode, m.Frames, len(p.source.Body), p.sha256, p.sha256,
			m.PerceptualHash, m.DominantColor, m.CaptureTime, m.Camera, false, 0, []string{},
		},
	})
	if err != nil {
		return notification{}, err
	}
	sentence := "Your image is published: " + url
	message, err := encode(struct {
		Default string `json:"default"`
		Email   string `json:"email"`
		SMS     string `json:"sms"`
	}{event, sentence, sentence})
	return notification{
		subject: "Image published (" + p.message.RequestID + ")",
		message: message,
		attributes: map[string]snstypes.MessageAttributeValue{
			"customerId": messageAttribute("String", p.message.CustomerID),
			"status":     messageAttribute("String", "COMPLETED"),
			"requestId":  messageAttribute("String", p.message.RequestID),
			"revision":   messageAttribute("Number", strconv.FormatInt(revision, 10)),
		},
	}, err
}

func messageAttribute(kind, value string) snstypes.MessageAttributeValue {
	return snstypes.MessageAttributeValue{DataType: aws.String(kind), StringValue: aws.String(value)}
}

// encode writes compact JSON and leaves <, > and & as they are, like orjson.
func encode(value any) (string, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSuffix(buffer.String(), "\n"), err
}
