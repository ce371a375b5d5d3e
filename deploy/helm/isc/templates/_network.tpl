{{- /* An egress rule: (dict "to" peers "ports" numbers). Without peers, any address. */ -}}
{{- define "isc.egress" -}}
- ports:
  {{- range .ports }}
  - port: {{ . }}
    protocol: TCP
  {{- if $.udp }}
  - port: {{ . }}
    protocol: UDP
  {{- end }}
  {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* Names, and the broker: what watcher and workers share. */ -}}
{{- define "isc.sharedEgress" -}}
{{- $n := .Values.networkPolicy -}}
# Names.
{{ include "isc.egress" (dict "to" $n.dns.to "ports" $n.dns.ports "udp" true) }}
# RabbitMQ.
{{ include "isc.egress" (dict "to" $n.broker.to "ports" ($n.broker.ports | default (list (.Values.amqp.tls.enabled | ternary 5671 5672)))) }}
{{- end -}}
