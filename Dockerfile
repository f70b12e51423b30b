# One image for all programs:
#     docker run IMAGE server
#     docker run IMAGE consumer
#     docker run IMAGE consumer reconcile
# Build it with BuildKit from the root of the repository: docker build --tag imageservice .
#
# If pip must use another index than PyPI, pass its configuration as a secret, which no layer stores:
#     docker build --secret id=pip.conf,src=$HOME/.config/pip/pip.conf …
# For a private certificate authority, also pass `--secret id=pip.pem,src=…`, and set `cert = /run/secrets/pip.pem` in
# pip.conf.

# Any image with sh, find, and Python 3.11 or newer with venv. A release pins a digest.
ARG BASE=python:3.13-slim-bookworm

# checkov:skip=CKV_DOCKER_7: BASE has a tag, which this check does not see in a variable
FROM ${BASE} AS builder
WORKDIR /source
# Two environments: only /venv is copied, and it has no pip.
RUN python3 -m venv /installer && python3 -m venv --without-pip /venv
COPY pyproject.toml constraints.txt LICENSE ./
COPY protos/pyproject.toml protos/LICENSE protos/
# Dependencies change rarely, so they have a layer of their own: a change of the code then pushes and pulls only the
# code. The two distributions are installed here without their code, for their dependencies. Both are in one command, so
# that pip looks up neither on an index.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=pip.pem \
    pip="/installer/bin/pip --python /venv/bin/python --disable-pip-version-check" \
    && $pip install --no-cache-dir --no-compile --constraint constraints.txt '.[heic]' ./protos \
    && $pip uninstall --yes imageservice-app imageservice-protos \
    && find /venv/bin -type f -delete
COPY . .
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=pip.pem \
    /installer/bin/pip install --disable-pip-version-check --no-cache-dir --no-compile --no-deps --target /app . ./protos \
    && rm -r /app/bin
# The root file system is read-only at run time. Python cannot compile modules then, and sources cannot differ from
# their bytecode.
RUN ["/venv/bin/python", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "/venv/lib", "/app"]

FROM ${BASE}
# Remove package installers of the base image, and setuid and setgid bits.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip \
        /usr/share/python-wheels \
    && find / -xdev -type f -perm /6000 -exec chmod ug-s {} +
COPY --from=builder /venv /venv
COPY --from=builder /app /app
COPY licenses /usr/share/doc/imageservice
# SAFEPATH: import modules only from here, never from the working directory.
# FAULTHANDLER: if a decoder crashes the process, log its traceback.
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONFAULTHANDLER=1
# A number, because Kubernetes rejects a user name under runAsNonRoot.
USER 65532:65532
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
# checkov:skip=CKV_DOCKER_2: several programs share the image, and Kubernetes has its own probes
ENTRYPOINT ["python", "-m"]

ARG BASE
ARG REVISION=unknown
LABEL org.opencontainers.image.title="imageservice" \
      org.opencontainers.image.description="Ingests images by URL: fetches, verifies, stores and publishes them, and notifies the customer." \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
