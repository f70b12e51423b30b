# One image for all that runs:
#     docker run IMAGE server
#     docker run IMAGE consumer
#     docker run IMAGE consumer reconcile
# BuildKit builds it, from the root of the clone: docker build --tag imageservice .
#
# Where pip must not ask PyPI itself, its configuration is handed over as a secret, which stays in no layer:
#     docker build --secret id=pip.conf,src=$HOME/.config/pip/pip.conf …
# With a certificate of one's own, also `--secret id=pip.pem,src=…`, and in pip.conf `cert = /run/secrets/pip.pem`.

# Any image with sh, find and a Python of 3.11 or newer that can make virtual environments. A release names a digest.
ARG BASE=python:3.13-slim-bookworm

# checkov:skip=CKV_DOCKER_7: BASE has a tag, which this rule does not see in a variable
FROM ${BASE} AS builder
WORKDIR /source
# Two environments: the one that is copied has no pip.
RUN python3 -m venv /installer && python3 -m venv --without-pip /venv
COPY pyproject.toml constraints.txt LICENSE ./
COPY protos/pyproject.toml protos/LICENSE protos/
# What changes rarely makes a layer of its own, so that a change of the code pushes and pulls the code alone. Hence
# the two distributions, empty yet, for what they depend on; both at once, so that neither is looked up on an index.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=pip.pem \
    pip="/installer/bin/pip --python /venv/bin/python --disable-pip-version-check" \
    && $pip install --no-cache-dir --no-compile --constraint constraints.txt . ./protos \
    && $pip uninstall --yes imageservice-app imageservice-protos \
    && find /venv/bin -type f -delete
COPY . .
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=pip.pem \
    /installer/bin/pip install --disable-pip-version-check --no-cache-dir --no-compile --no-deps --target /app . ./protos \
    && rm -r /app/bin
# The root is read-only where this runs: nothing can be compiled there later, and no source will differ from its bytecode.
RUN ["/venv/bin/python", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "/venv/lib", "/app"]

FROM ${BASE}
# What a base may bring to install packages with, and the bits by which a program gains rights.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip \
        /usr/share/python-wheels \
    && find / -xdev -type f -perm /6000 -exec chmod ug-s {} +
COPY --from=builder /venv /venv
COPY --from=builder /app /app
# SAFEPATH: modules come from here alone, never from the folder it is started in.
# FAULTHANDLER: a decoder that crashes the process leaves its traceback in the log.
# MMAP_THRESHOLD: large pictures go back to the system when they are done with. Else each decoding thread keeps the
# memory of its largest one (glibc raises its threshold by itself), and the consumer grows beyond DECODE_BUDGET_BYTES.
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONFAULTHANDLER=1 \
    MALLOC_MMAP_THRESHOLD_=8388608
# By number: Kubernetes refuses a name under runAsNonRoot.
USER 65532:65532
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
# checkov:skip=CKV_DOCKER_2: several processes share the image, and Kubernetes has its own probes
ENTRYPOINT ["python", "-m"]

ARG BASE
ARG REVISION=unknown
LABEL org.opencontainers.image.title="imageservice" \
      org.opencontainers.image.description="Takes in images by URL: fetches, checks, stores and publishes them, and tells the customer." \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
