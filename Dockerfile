# The web service and the worker as two images: `--target api` (no torch) and `--target worker`.
#
#   BASE        any Debian with Python 3.11 as python3, its venv and pip
#   TORCH       the torch to install, exactly
#   TORCH_INDEX where that torch comes from: CPU builds by default, https://download.pytorch.org/whl/cu130 for CUDA,
#               empty for the package index that pip is set up with
#
# Versions are those of constraints.txt.

ARG BASE=python:3.11-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_CONSTRAINT=/src/constraints.txt \
    PATH=/opt/microlith/bin:$PATH
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints*.txt ./
# Without the source, its dependencies are installed once, not again with every change.
RUN python3 -m venv /opt/microlith && touch constraints.txt && mkdir -p microlith app worker alembic

FROM build AS build-api
# hadolint ignore=DL3013
RUN pip install ".[server]"
COPY . .
# hadolint ignore=DL3013
RUN pip install --no-deps --force-reinstall .

FROM build AS build-worker
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# hadolint ignore=DL3013
RUN pip install ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"} "${TORCH}" && pip install ".[worker]" "${TORCH}"
COPY . .
# hadolint ignore=DL3013
RUN pip install --no-deps --force-reinstall .

# hadolint ignore=DL3006
FROM ${BASE} AS runtime
ENV PATH=/opt/microlith/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MICROLITH_DATA_DIR=/var/lib/microlith \
    HF_HOME=/var/lib/microlith/huggingface
RUN useradd --system --uid 10001 --home-dir /var/lib/microlith --create-home --shell /usr/sbin/nologin microlith
WORKDIR /var/lib/microlith
USER 10001
ENTRYPOINT ["microlith-server"]

FROM runtime AS worker
COPY --from=build-worker /opt/microlith /opt/microlith
CMD ["worker"]

FROM runtime AS api
COPY --from=build-api /opt/microlith /opt/microlith
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('MICROLITH_PORT', 8000)}/healthz\", timeout=2)"]
CMD ["serve", "--host", "0.0.0.0"]
