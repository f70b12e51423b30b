// Package awsclient opens the SDK's clients with enough connections for every call in flight.
package awsclient

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
)

const connections = 1024

// Load reads endpoint, region and credentials from the SDK's variables.
func Load(ctx context.Context) (aws.Config, error) {
	return config.LoadDefaultConfig(ctx)
}

// HTTPClient returns a client for one service. The SDK's default keeps ten idle connections per host, so that 64 workers
// would connect again for most calls.
func HTTPClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(transport *http.Transport) {
		transport.MaxIdleConns = connections
		transport.MaxIdleConnsPerHost = connections
	})
}
