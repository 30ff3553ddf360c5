"""Charts as `helm template` renders them: Services and Deployments written by people.

`python -m tests.benchmarks.charts --pairs 4000 chart.yaml` writes one. Beside plain block style it
has what templates are full of: comments, flow lists and mappings, folded and literal text, octal
modes, dates, anchors, and several indentations.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

SERVICE = """\
---
# Source: shop/charts/web-{n}/templates/service.yaml
apiVersion: v1
kind: Service
metadata:
  name: web-{n}
  namespace: team-{team}
  labels: {{app.kubernetes.io/name: web-{n}, "helm.sh/chart": "web-1.4.{team}"}}
  annotations:
    example.com/description: >-
      Serves web-{n} to the other teams,
      and nobody else.
    example.com/since: 2024-0{month}-01
spec:
  type: ClusterIP
  clusterIP: 10.{a}.{b}.{c}
  publishNotReadyAddresses: no
  ports:
    - {{name: http, port: 80, targetPort: http, protocol: TCP}}
    - name: metrics
      port: 9090
  selector:
    app.kubernetes.io/name: web-{n}
"""

DEPLOYMENT = """\
---
# Source: shop/charts/web-{n}/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-{n}
  namespace: team-{team}
spec:
  replicas: {month}
  template:
    spec:
      containers:
        - name: web
          image: "registry.example.com/web:1.4.{team}"
          command: ["sh", "-c"]
          args:
            - |
              exec web --port=8080
          resources: &small {{limits: {{cpu: 500m, memory: 64Mi}}}}
        - name: proxy
          resources: *small
"""


def chart(pairs: int) -> Iterator[str]:
    """Yield so many Services and as many Deployments, one document each."""
    for n in range(pairs):
        values = {
            "n": n, "team": n % 40, "month": 1 + n % 9,
            "a": 96 + (n >> 16), "b": (n >> 8) & 255, "c": n & 255,
        }  # fmt: skip
        yield SERVICE.format(**values)
        yield DEPLOYMENT.format(**values)


def write_chart(path: Path, pairs: int) -> None:
    """Write a chart."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(chart(pairs))


def main() -> None:
    """Write one chart."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.charts")
    parser.add_argument("--pairs", type=int, required=True, help="Services, and Deployments")
    parser.add_argument("path", type=Path)
    options = parser.parse_args()
    write_chart(options.path, options.pairs)


if __name__ == "__main__":
    main()
