# One image for every program of Aerie: `docker run … aerie bot`, `… agent`, `… migrate`, `… doctor`.
FROM python:3.11-slim
WORKDIR /opt/aerie
COPY requirements.lock .
RUN python -m pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock
COPY . .
# the bot runs as this user; docker-compose.agent.yml asks for root, which Docker's socket and the games' files need
RUN useradd --system --uid 989 --home-dir /var/lib/aerie --create-home aerie
USER aerie
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["python", "-m", "aerie"]
CMD ["--help"]
