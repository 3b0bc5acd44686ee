# The house in a container, as an ordinary user. `docker compose up --build` uses it.
FROM python:3.13-slim

# Blocks from 256 KiB on come from the kernel and go back to it, so that a large mail's memory
# does not stay with the process.
ENV PYTHONUNBUFFERED=1 MALLOC_MMAP_THRESHOLD_=262144
WORKDIR /app

# The bind mounts ./logs, ./email_data and ./dkim of docker-compose.yml have to belong to this number.
RUN groupadd --gid 10001 answermx \
    && useradd --uid 10001 --gid answermx --no-create-home --home-dir /app --shell /usr/sbin/nologin answermx

# Packages first: they change less often than the code.
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --use-pep517 -r requirements.lock

COPY server.py LICENSE ./
COPY config config
COPY smtpd smtpd
COPY handlers handlers
COPY templates templates
RUN python -m compileall -q server.py config smtpd handlers \
    && install -d -o answermx -g answermx -m 700 email_data logs

USER answermx

# An ordinary user binds port 25 because a container's network namespace has no privileged ports:
# Docker sets net.ipv4.ip_unprivileged_port_start=0, and docker-compose.yml says it once more.
EXPOSE 25 8002
STOPSIGNAL SIGTERM

# The door greets with 220, or the container is not healthy.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s \
    CMD ["python", "-c", "import os, smtplib; smtplib.SMTP('127.0.0.1', int(os.environ.get('LISTEN_PORT') or 25), timeout=8).quit()"]

CMD ["python", "server.py", "run"]
