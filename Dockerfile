# The service without an embedded database: give it POSTGRES_DSN and REDIS_URL, or use compose.
ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS packages
COPY requirements-prod.lock /tmp/requirements-prod.lock
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes --no-deps -r /tmp/requirements-prod.lock

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 agent \
    && useradd --uid 10001 --gid agent --no-create-home --home-dir /data --shell /usr/sbin/nologin agent \
    && install --directory --owner agent --group agent --mode 0700 /data /audio
COPY --from=packages /opt/venv /opt/venv
COPY LICENSE /app/
COPY sql /app/sql
COPY src /app/src
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app/src \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    APP_ENV=prod \
    API_HOST=0.0.0.0 \
    DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME ["/data", "/audio"]
EXPOSE 8010 8011
STOPSIGNAL SIGTERM
# A process without the api role answers at its other port.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r\ntry: r.urlopen('http://127.0.0.1:8010/health', timeout=2)\nexcept OSError: r.urlopen('http://127.0.0.1:8011/health', timeout=2)"]
ENTRYPOINT ["python", "-m", "interview_agent"]
