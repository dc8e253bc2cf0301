// Package client is a client of gizad over gRPC: what a service in Go would copy. The stubs are made from proto/ (see
// docs/clients.md).
package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	gizad "example.com/shop/gen/gizad/v1"
)

// How long one attempt may take: it becomes the deadline of the call. A purchase has the provider's time beside gizad's own.
const (
	read = 10 * time.Second
	buy  = 65 * time.Second
)

// Failure is a call that did not succeed, with what gizad says about it.
type Failure struct {
	Code       codes.Code
	Reason     string
	Detail     string
	Metadata   map[string]string
	Violations []*errdetails.BadRequest_FieldViolation
	// RetryAfter is when it makes sense to ask again; nil if gizad does not say.
	RetryAfter *time.Duration
	RequestID  string
}

func failure(err error) *Failure {
	said := status.Convert(err)
	failed := &Failure{Code: said.Code(), Detail: said.Message()}
	// google.rpc.Status travels in the trailers. It is not there if the library failed by itself: no connection, no time left.
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			failed.Reason, failed.Metadata = detail.Reason, detail.Metadata
		case *errdetails.BadRequest:
			failed.Violations = detail.FieldViolations
		case *errdetails.RetryInfo:
			delay := detail.RetryDelay.AsDuration()
			failed.RetryAfter = &delay
		case *errdetails.RequestInfo:
			failed.RequestID = detail.RequestId
		}
	}
	return failed
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s: %s", f.name(), f.Detail)
}

func (f *Failure) name() string {
	return strings.TrimSpace(code.Code(f.Code).String() + " " + f.Reason)
}

// MayRepeat is true of UNAVAILABLE, whatever was called, and of a limit that says when. Nothing else gets better by asking again.
func (f *Failure) MayRepeat() bool {
	return f.Code == codes.Unavailable || f.Code == codes.ResourceExhausted && f.RetryAfter != nil
}

// Undecided is true if the call may have been carried out: gizad does not know yet, or its answer did not come in time.
func (f *Failure) Undecided() bool {
	return f.Reason == "OUTCOME_UNKNOWN" || f.Code == codes.DeadlineExceeded
}

func (f *Failure) pause(attempt int) time.Duration {
	if f.RetryAfter != nil {
		return *f.RetryAfter + backoff(attempt)
	}
	return backoff(attempt)
}

// Client is one for the whole program: connections are made, shared and made anew behind it.
type Client struct {
	conn       *grpc.ClientConn
	Wallet     gizad.WalletServiceClient
	Vps        gizad.VpsServiceClient
	Operations gizad.OperationServiceClient
}

// New makes a client of the gizad at localhost:7070 or unix:/run/gizad/gizad.sock, with the token in a file, if one is needed.
func New(target, tokenFile string) (*Client, error) {
	// In the clear: for the Unix socket and this machine. Elsewhere gizad has TLS: credentials.NewTLS.
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// A stream may be silent for long: whether the other end is still there is asked after a minute.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 20 * time.Second}),
	}
	if tokenFile != "" {
		options = append(options, grpc.WithPerRPCCredentials(token(tokenFile)))
	}
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, err
	}
	return &Client{
		conn, gizad.NewWalletServiceClient(conn), gizad.NewVpsServiceClient(conn), gizad.NewOperationServiceClient(conn),
	}, nil
}

// Close ends the connections.
func (c *Client) Close() error { return c.conn.Close() }

// token is a file that is read anew for each call, so that one that was replaced is followed without a restart.
type token string

func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	text, err := os.ReadFile(string(t))
	return map[string]string{"authorization": "Bearer " + strings.TrimSpace(string(text))}, err
}

// RequireTransportSecurity would be true for another machine.
func (token) RequireTransportSecurity() bool { return false }

// Call calls until it is answered, or until the time of the context is over. One attempt takes at most timeout.
func Call[Q, A any](
	ctx context.Context, method func(context.Context, *Q, ...grpc.CallOption) (*A, error), request *Q, timeout time.Duration,
) (*A, error) {
	for attempt := 0; ; attempt++ {
		once, cancel := context.WithTimeout(ctx, timeout)
		answer, err := method(once, request)
		cancel()
		if err == nil {
			return answer, nil
		}
		failed := failure(err)
		pause := failed.pause(attempt)
		if until, bounded := ctx.Deadline(); !failed.MayRepeat() || bounded && time.Now().Add(pause).After(until) {
			return nil, failed
		}
		log.Printf("%s: again in %.2f s", failed.name(), pause.Seconds())
		if !sleep(ctx, pause) {
			return nil, failed
		}
	}
}

// Balance is what is in the wallet, in đồng.
func (c *Client) Balance(ctx context.Context) (int64, error) {
	wallet, err := Call(ctx, c.Wallet.GetWallet, &gizad.GetWalletRequest{}, read)
	return wallet.GetBalanceVnd(), err
}

// BuyVps buys a server, once, however often this is called with this key and this order.
//
// The operation says what became of it, and may be in doubt still when the time of the context is over: then call this again, with
// the same key.
func (c *Client) BuyVps(ctx context.Context, order *gizad.CreateVpsRequest, key string) (*gizad.Operation, error) {
	order.RequestId = key
	for {
		operation, err := Call(ctx, c.Vps.CreateVps, order, buy)
		if failed := (*Failure)(nil); errors.As(err, &failed) && failed.Undecided() {
			// Whether it was bought is written down at gizad, under the key. To send the order again would tell nothing new.
			log.Printf("%s: asking what became of %s", failed.name(), key)
			operation, err = c.Find(ctx, key)
		}
		if err != nil {
			return nil, err
		}
		if operation != nil && operation.State != gizad.Operation_NOT_SENT {
			return c.Settled(ctx, operation)
		}
		// It never came to gizad, or it is proven that nothing was sent: the same call, with the same key.
		if !sleep(ctx, backoff(3)) {
			return nil, fmt.Errorf("%s was not sent: %w", key, ctx.Err())
		}
	}
}

// Find gets the operation under a key of ours; nil if there is none.
func (c *Client) Find(ctx context.Context, key string) (*gizad.Operation, error) {
	// The time for the purchase may be what ran out. That question is worth asking all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*read)
	defer cancel()
	listed, err := Call(ctx, c.Operations.ListOperations, &gizad.ListOperationsRequest{RequestId: key}, read)
	if err != nil || len(listed.Operations) == 0 {
		return nil, err
	}
	return listed.Operations[0], nil
}

// Settled returns the same operation once nothing changes any more, a person has to decide, or the time is over.
func (c *Client) Settled(ctx context.Context, operation *gizad.Operation) (*gizad.Operation, error) {
	for !operation.Done && operation.State != gizad.Operation_AWAITING_APPROVAL && operation.State != gizad.Operation_NEEDS_OPERATOR {
		wait := 30 * time.Second
		if until, bounded := ctx.Deadline(); bounded {
			wait = min(wait, time.Until(until)-time.Second)
		}
		if wait < time.Second {
			break
		}
		// Waits at gizad, which answers as soon as something has become of it.
		asked := &gizad.GetOperationRequest{OperationId: operation.OperationId, Wait: fmt.Sprintf("%ds", int(wait.Seconds()))}
		next, err := Call(ctx, c.Operations.GetOperation, asked, wait+read)
		if err != nil {
			return operation, err
		}
		operation = next
	}
	return operation, nil
}

// Watch tells every operation as it changes, until the context ends.
func (c *Client) Watch(ctx context.Context, tell func(*gizad.Operation)) error {
	for attempt := 0; ; attempt++ {
		pause := backoff(attempt)
		// What is under way or in doubt comes first, each time it is begun.
		stream, err := c.Operations.WatchOperations(ctx, &gizad.WatchOperationsRequest{})
		for err == nil {
			var operation *gizad.Operation
			if operation, err = stream.Recv(); err == nil {
				attempt = 0
				tell(operation)
			}
		}
		if !errors.Is(err, io.EOF) {
			failed := failure(err)
			if !failed.MayRepeat() {
				return failed
			}
			pause = failed.pause(attempt)
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// backoff is up to 0.1, 0.2, 0.4 … 5 seconds, by chance, so that those who failed together do not come back together.
func backoff(attempt int) time.Duration {
	return time.Duration(mathrand.Float64() * min(5, 0.1*math.Exp2(float64(attempt))) * float64(time.Second))
}

// sleep is false if the time of the context is over.
func sleep(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// KeptKey is a key for one purchase that outlives this process: it is on the disk before the purchase is sent, and found there again.
func KeptKey(path string) (string, error) {
	kept, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return strings.TrimSpace(string(kept)), err
	}
	key := rand.Text()
	file, err := os.Create(path + ".new")
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(key)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return "", err
	}
	return key, os.Rename(path+".new", path)
}
