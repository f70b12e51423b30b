package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"bench/internal/batch"
)

// writes are the steps after the upload.
type writes interface {
	record(ctx context.Context, row []attribute) error
	complete(ctx context.Context, image published) error
	notify(ctx context.Context, note notification) error
	remove(ctx context.Context, receipt string) error
}

// services are the SDK's clients, and what they write to.
type services struct {
	rows                                           *dynamodb.Client
	topic                                          *sns.Client
	queue                                          *sqs.Client
	requestsTable, imagesTable, topicARN, queueURL string
}

// single makes one call for each write.
type single struct{ services }

func (s single) record(ctx context.Context, row []attribute) error {
	item := make(map[string]types.AttributeValue, len(row))
	for _, each := range row {
		item[each.name] = each.value
	}
	_, err := s.rows.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.imagesTable, Item: item, ConditionExpression: aws.String("attribute_not_exists(imageId)"),
	})
	return err
}

func (s single) complete(ctx context.Context, image published) error {
	revision := image.message.Revision
	_, err := s.rows.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                &s.requestsTable,
		Key:                      map[string]types.AttributeValue{"requestId": text(image.message.RequestID)},
		UpdateExpression:         aws.String("SET #status = :completed, revision = :next, updatedAt = :now, imageId = :image"),
		ConditionExpression:      aws.String("#status = :pending AND revision = :revision AND customerId = :customer"),
		ExpressionAttributeNames: map[string]string{"#status": "status"},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":completed": text("COMPLETED"), ":next": number(revision + 1), ":now": number(time.Now().UnixMilli()),
			":image": text(image.imageID), ":pending": text("PENDING"), ":revision": number(revision),
			":customer": text(image.message.CustomerID),
		},
	})
	return err
}

func (s single) notify(ctx context.Context, note notification) error {
	_, err := s.topic.Publish(ctx, &sns.PublishInput{
		TopicArn: &s.topicARN, Subject: &note.subject, Message: &note.message,
		MessageStructure: aws.String("json"), MessageAttributes: note.attributes,
	})
	return err
}

func (s single) remove(ctx context.Context, receipt string) error {
	_, err := s.queue.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &s.queueURL, ReceiptHandle: &receipt})
	return err
}

// Limits of AWS, and of the calls in flight as in core/.
const (
	maxStatements     = 25
	maxEntries        = 10
	maxStatementCalls = 4
	maxPublishCalls   = 4
	maxDeleteCalls    = 8
)

// batched lets concurrent writes share calls.
type batched struct {
	services
	statements    *batch.Batcher[types.BatchStatementRequest]
	notifications *batch.Batcher[notification]
	receipts      *batch.Batcher[string]
}

func newBatched(s services, linger time.Duration) *batched {
	b := &batched{services: s}
	b.statements = batch.New(b.execute, maxStatements, maxStatementCalls, linger)
	b.notifications = batch.New(b.publish, maxEntries, maxPublishCalls, linger)
	b.receipts = batch.New(b.delete, maxEntries, maxDeleteCalls, linger)
	return b
}

func (b *batched) record(ctx context.Context, row []attribute) error {
	members, values := make([]string, len(row)), make([]types.AttributeValue, len(row))
	for i, each := range row {
		members[i], values[i] = "'"+each.name+"': ?", each.value
	}
	statement := fmt.Sprintf(`INSERT INTO "%s" VALUE {%s}`, b.imagesTable, strings.Join(members, ", "))
	return b.statements.Submit(ctx, types.BatchStatementRequest{Statement: &statement, Parameters: values})
}

func (b *batched) complete(ctx context.Context, image published) error {
	revision := image.message.Revision
	statement := fmt.Sprintf(`UPDATE "%s" SET "status"=?, "revision"=?, "updatedAt"=?, "imageId"=?`+
		` WHERE "requestId"=? AND "status"=? AND "revision"=? AND "customerId"=?`, b.requestsTable)
	return b.statements.Submit(ctx, types.BatchStatementRequest{
		Statement: &statement,
		Parameters: []types.AttributeValue{
			text("COMPLETED"), number(revision + 1), number(time.Now().UnixMilli()), text(image.imageID),
			text(image.message.RequestID), text("PENDING"), number(revision), text(image.message.CustomerID),
		},
	})
}

func (b *batched) notify(ctx context.Context, note notification) error {
	return b.notifications.Submit(ctx, note)
}

func (b *batched) remove(ctx context.Context, receipt string) error {
	return b.receipts.Submit(ctx, receipt)
}

func (b *batched) execute(ctx context.Context, statements []types.BatchStatementRequest) ([]error, error) {
	answer, err := b.rows.BatchExecuteStatement(ctx, &dynamodb.BatchExecuteStatementInput{Statements: statements})
	if err != nil {
		return nil, err
	}
	results := make([]error, len(statements))
	for i, each := range answer.Responses {
		if each.Error != nil {
			results[i] = fmt.Errorf("%s: %s", each.Error.Code, aws.ToString(each.Error.Message))
		}
	}
	return results, nil
}

func (b *batched) publish(ctx context.Context, notes []notification) ([]error, error) {
	entries := make([]snstypes.PublishBatchRequestEntry, len(notes))
	for i := range notes {
		entries[i] = snstypes.PublishBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), Subject: &notes[i].subject, Message: &notes[i].message,
			MessageStructure: aws.String("json"), MessageAttributes: notes[i].attributes,
		}
	}
	answer, err := b.topic.PublishBatch(ctx, &sns.PublishBatchInput{TopicArn: &b.topicARN, PublishBatchRequestEntries: entries})
	if err != nil {
		return nil, err
	}
	results := batch.Unanswered(len(notes))
	for _, each := range answer.Successful {
		results[index(each.Id)] = nil
	}
	return results, nil
}

func (b *batched) delete(ctx context.Context, receipts []string) ([]error, error) {
	entries := make([]sqstypes.DeleteMessageBatchRequestEntry, len(receipts))
	for i := range receipts {
		entries[i] = sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &receipts[i]}
	}
	answer, err := b.queue.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &b.queueURL, Entries: entries})
	if err != nil {
		return nil, err
	}
	results := batch.Unanswered(len(receipts))
	for _, each := range answer.Successful {
		results[index(each.Id)] = nil
	}
	return results, nil
}

// index returns the position of a batch entry, whose id we chose.
func index(id *string) int {
	position, _ := strconv.Atoi(aws.ToString(id))
	return position
}
