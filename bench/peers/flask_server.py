"""Flask with prometheus_client, for gunicorn: one answer, counted and timed like the API's."""

import time

from flask import Flask, Response, g, jsonify, request
from prometheus_client import Counter, Histogram, generate_latest

REQUESTS = Counter("http_requests", "Requests answered.", ["method", "route", "code"])
DURATIONS = Histogram("http_request_duration_seconds", "From head to answer.", ["method", "route"])

app = Flask(__name__)


@app.before_request
def begin():
    g.begun = time.perf_counter()


@app.after_request
def observe(answer):
    route = str(request.url_rule)
    REQUESTS.labels(request.method, route, answer.status_code).inc()
    DURATIONS.labels(request.method, route).observe(time.perf_counter() - g.begun)
    return answer


@app.get("/health")
def health():
    return jsonify(status="ok")


@app.get("/metrics")
def metrics():
    return Response(generate_latest(), mimetype="text/plain")
