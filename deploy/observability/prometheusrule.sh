#!/bin/sh
# Prints the alert rules as a PrometheusRule, for the Prometheus operator: alerts.yaml is what stands in its spec.
set -eu
cat <<'YAML'
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: isc
  labels: {app.kubernetes.io/part-of: internal-service-controller}
spec:
YAML
sed 's/^/  /' "$(dirname "$0")/alerts.yaml"
