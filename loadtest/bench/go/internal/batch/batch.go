// Package batch lets concurrent callers share calls, by the same rules as core/batcher.py: a full batch is sent at once
// beside at most maxCalls-1 calls in flight; a partial one is sent if no call is in flight, after the linger if the last
// call had more than one item.
package batch

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	maxPending = 10_000
	callTime   = 15 * time.Second
)

// ErrOverloaded is the result of Submit if too many items wait.
var ErrOverloaded = errors.New("too many items wait already")

// ErrUnanswered is the result of an item that the answer of its call does not name.
var ErrUnanswered = errors.New("the answer does not name this item")

// Send makes one call. It returns an error per item, in order, or one error for all.
type Send[T any] func(ctx context.Context, items []T) ([]error, error)

type pending[T any] struct {
	item   T
	result chan error
}

// Batcher collects items for Send. Create it with New.
type Batcher[T any] struct {
	send     Send[T]
	maxItems int
	maxCalls int
	linger   time.Duration

	mu       sync.Mutex
	pending  []pending[T]
	inFlight int
	timer    *time.Timer
	lastSize int
}

// New returns a batcher for an API that accepts maxItems in one call.
func New[T any](send Send[T], maxItems, maxCalls int, linger time.Duration) *Batcher[T] {
	return &Batcher[T]{send: send, maxItems: maxItems, maxCalls: maxCalls, linger: linger}
}

// Submit returns the result of one item.
func (b *Batcher[T]) Submit(ctx context.Context, item T) error {
	waiting := pending[T]{item, make(chan error, 1)}
	b.mu.Lock()
	if len(b.pending) >= maxPending {
		b.mu.Unlock()
		return ErrOverloaded
	}
	b.pending = append(b.pending, waiting)
	b.sendDue()
	b.mu.Unlock()
	select {
	case err := <-waiting.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sendDue starts the calls that are due. The caller holds the lock.
func (b *Batcher[T]) sendDue() {
	for len(b.pending) >= b.maxItems && b.inFlight < b.maxCalls {
		b.start()
	}
	if len(b.pending) == 0 || b.inFlight > 0 || b.timer != nil {
		return
	}
	var delay time.Duration
	if b.lastSize > 1 {
		delay = b.linger
	}
	b.timer = time.AfterFunc(delay, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.timer != nil {
			b.start()
		}
	})
}

func (b *Batcher[T]) start() {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	size := min(b.maxItems, len(b.pending))
	if size == 0 {
		return
	}
	items := append([]pending[T](nil), b.pending[:size]...)
	b.pending = append(b.pending[:0], b.pending[size:]...)
	b.lastSize = size
	b.inFlight++
	go func() {
		b.call(items)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.inFlight--
		b.sendDue()
	}()
}

func (b *Batcher[T]) call(waiting []pending[T]) {
	items := make([]T, len(waiting))
	for i, each := range waiting {
		items[i] = each.item
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	results, err := b.send(ctx, items)
	for i, each := range waiting {
		if err != nil {
			each.result <- err
		} else {
			each.result <- results[i]
		}
	}
}

// Unanswered returns the results of a call whose answer names the successful items.
func Unanswered(count int) []error {
	results := make([]error, count)
	for i := range results {
		results[i] = ErrUnanswered
	}
	return results
}
