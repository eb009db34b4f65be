# One image for every program of Aerie: `docker run … bot`, `… agent`, `… sandbox`.
FROM python:3.13-slim
WORKDIR /opt/aerie
COPY requirements.lock .
RUN python -m pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock
COPY . .
# the bot runs as this user; the agent's service in docker-compose.yml asks for root, which Docker's socket needs
RUN useradd --system --uid 989 --home-dir /var/lib/aerie --create-home aerie
USER aerie
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["python", "-m", "aerie"]
CMD ["--help"]
