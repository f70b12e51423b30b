module imageservice/tools/prometheus-operator

go 1.26.0

// Only its manifests are wanted, so that nothing here imports it: `go mod tidy` would take it out.
require github.com/prometheus-operator/prometheus-operator v0.94.1
