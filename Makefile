# Two commands for newcomers: `make demo` and `make test`. `make` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
MANIFESTS := pyproject.toml protos/pyproject.toml constraints.txt
CODE := server consumer core cli loadtest tests docs k8s protos/stubs.py
PROTO := imageservice/v1/image_service.proto

.DEFAULT_GOAL := help
.PHONY: help demo up test test-real verify-redis verify-search verify-k8s verify-dashboards verify-cluster scaling-report verify-image verify-rivals verify-location verify-bombs corpora robustness isolation check format stubs reference metrics dashboards constraints buf load-smoke bench clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/created:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; PYTHON=… names one")'
	@$(PYTHON) -m venv .venv
	@touch $@

# Install both distributions in one command, so that pip looks up neither name on an index.
.venv/local: .venv/created $(MANIFESTS)
	@echo "installing into .venv …"
	@$(INSTALL) --editable './[local]' --editable ./protos
	@touch $@

.venv/dev: .venv/local
	@echo "installing the development tools …"
	@$(INSTALL) --editable './[local,loadtest,dev]' --editable ./protos
	@touch $@

.venv/loadtest: .venv/local
	@echo "installing the tools of the load tests …"
	@$(INSTALL) --editable './[local,loadtest]' --editable ./protos
	@touch $@

demo: .venv/local  ## Submit real images to the whole system on this machine and verify the results
	@$(BIN)/python -m cli.demo

up: .venv/local  ## Run the whole system on this machine until Ctrl-C
	@$(BIN)/imageservice up

# Four workers even on two cores: most tests wait for processes and ports.
test: .venv/dev  ## Run the whole test suite
	$(BIN)/python -m pytest --numprocesses 4 --dist worksteal

test-real: .venv/dev  ## Run the system tests on DynamoDB Local, ElasticMQ and OpenSearch (needs JDK 17, Maven)
	$(BIN)/python -m pytest --backend=real tests/acceptance tests/chaos tests/integration/test_tables.py \
		tests/integration/test_search_engine*.py tests/integration/test_server_search*.py tests/cluster/opensearch

verify-redis: .venv/dev  ## Kill, hang and corrupt a real Redis under the system (needs redis-server of Debian)
	$(BIN)/python -m pytest tests/cluster/redis

verify-search: .venv/dev  ## Kill OpenSearch, Redis and the indexer under load (needs JDK 17, Maven, redis-server)
	$(BIN)/python -m pytest tests/cluster/readside

# checkov pins other versions than this project, so it has its own environment.
.venv/checkov/created: tests/cluster/manifests/checkov.txt .venv/created
	@$(PYTHON) -m venv --clear .venv/checkov
	@.venv/checkov/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

verify-k8s: .venv/dev .venv/checkov/created  ## Check manifests and alert rules without a cluster (needs kubectl, Go, prometheus)
	$(BIN)/python -m pytest tests/cluster/manifests tests/cluster/dashboards/test_rules.py

verify-dashboards: .venv/dev  ## Query a real Prometheus for every panel and alert under faults (needs Go, prometheus, redis-server)
	PYTHONPATH=tests $(BIN)/python -m cluster.control_plane
	$(BIN)/python -m pytest tests/cluster/dashboards

verify-cluster: .venv/dev  ## Scale with a real KEDA on a real control plane, or on KUBECONFIG (needs Go, JDK 17, Maven)
	PYTHONPATH=tests $(BIN)/python -m cluster.control_plane
	$(BIN)/python -m pytest -s tests/cluster/control_plane tests/cluster/scaling

scaling-report: .venv/dev  ## Renew the timeline of scaling that docs/deploy.md shows (needs the same)
	PYTHONPATH=tests $(BIN)/python -m cluster.control_plane
	$(BIN)/python -m pytest -s tests/cluster/scaling --scaling-report tests/cluster/scaling/reports

verify-image: .venv/dev  ## Build the image and run it as a restricted pod (needs root, docker.io, debootstrap, or DOCKER_HOST)
	$(BIN)/python -m pytest tests/cluster/image

verify-location: .venv/dev  ## Search published images of every kind for a location with exiftool (needs libimage-exiftool-perl)
	$(BIN)/python -m pytest tests/cluster/location

verify-bombs: .venv/dev  ## Process the worst files in the memory of a pod, and print the latency of other images (needs root, a memory control group)
	$(BIN)/python -m pytest -s -o faulthandler_timeout=0 tests/cluster/bombs

corpora: .venv/dev  ## Inspect the images of public source packages; exiftool searches the published ones for locations (ARGS has options; needs apt, libimage-exiftool-perl)
	PYTHONPATH=tests $(BIN)/python -m corpora --exiftool $(ARGS)

verify-rivals: .venv/dev  ## Prove that the Go programs of the benchmarks do the consumer's work (needs Go, gcc, libjpeg-turbo)
	go vet -C loadtest/bench/go ./...
	$(BIN)/python -m pytest tests/cluster/rivals

SEED ?= 1
RUN ?= mixed
BACKEND ?= embedded
robustness: .venv/dev  ## Check every promise under traffic and faults (SEED=1, RUN=mixed; ARGS has sizes)
	PYTHONPATH=tests $(BIN)/python -m robustness $(RUN) --seed $(SEED) --backend $(BACKEND) $(ARGS)

load-smoke: .venv/loadtest  ## Process 10,000 requests and prove that none was lost
	@$(BIN)/imageservice-loadtest million --up --requests 10000 --report .load-smoke

bench: .venv/dev  ## Measure everything side by side, and renew docs/performance.md (23 minutes on a quiet machine; needs Debian's redis-server, a JDK 17 and Maven)
	$(BIN)/python -m loadtest.bench

isolation: .venv/dev  ## Measure how far one customer delays another (ARGS names scenarios and sizes)
	PYTHONPATH=tests $(BIN)/python -m isolation $(ARGS)

check: .venv/dev  ## Run linters, type checks, layer checks, and checks of generated files
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/python protos/stubs.py --check
	$(BIN)/python docs/reference.py --check
	$(BIN)/python docs/metrics.py --check
	$(BIN)/python -m k8s.components.monitoring.generator --check

format: .venv/dev  ## Format the code
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

stubs: .venv/dev  ## Generate the Python stubs of the contract
	$(BIN)/python protos/stubs.py

reference: .venv/dev  ## Generate docs/reference.md
	$(BIN)/python docs/reference.py

dashboards: .venv/dev  ## Generate the dashboards
	$(BIN)/python -m k8s.components.monitoring.generator

metrics: .venv/dev  ## Generate docs/metrics.md
	$(BIN)/python docs/metrics.py

constraints: .venv/dev  ## Update constraints.txt to the newest releases
	@rm -rf .venv/fresh && $(PYTHON) -m venv .venv/fresh
	@.venv/fresh/bin/pip install --quiet --editable './[local,loadtest,dev]' --editable ./protos
	@{ sed -n '/^#/p' constraints.txt; .venv/fresh/bin/pip freeze --exclude-editable --exclude pip --exclude setuptools; } > .venv/constraints.txt
	@mv .venv/constraints.txt constraints.txt && rm -rf .venv/fresh

buf:  ## Lint the contract (needs npm)
	@command -v npx >/dev/null || { echo "make buf needs npm, which installs buf" >&2; exit 1; }
	cd protos && npx --yes @bufbuild/buf@1.75.0 lint

clean:  ## Remove the virtual environment and caches
	rm -rf .venv .load-smoke .scaling-report .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
