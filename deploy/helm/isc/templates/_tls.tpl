{{- /* Where certificates are. */ -}}

{{- define "isc.watcherTlsSecret" -}}
{{- .Values.tls.watcher.secretName | default (printf "%s-tls" (include "isc.watcher" .)) -}}
{{- end -}}

{{- /* (dict "root" $ "workload" name) */ -}}
{{- define "isc.workerTlsSecret" -}}
{{- .root.Values.tls.worker.secretName | default (printf "%s-tls" .workload) -}}
{{- end -}}

{{- define "isc.kedaTlsSecret" -}}
{{- .Values.tls.keda.secretName | default (printf "%s-keda-tls" (include "isc.name" .)) -}}
{{- end -}}

{{- /* The own certificate, as it is mounted. */ -}}
{{- define "isc.tlsFiles" -}}
certFile: /run/isc/tls/tls.crt
keyFile: /run/isc/tls/tls.key
caFile: /run/isc/tls/ca.crt
{{- end -}}

{{- /* Yes when the own certificate is needed. */ -}}
{{- define "isc.ownCertificate" -}}
{{- $amqp := .Values.amqp.tls -}}
{{- if or .Values.tls.enabled (and $amqp.enabled (or $amqp.clientCertificate (not $amqp.caSecret))) }}yes{{ end -}}
{{- end -}}

{{- /* Folders, not files: what is mounted by itself does not follow a renewed Secret. */ -}}
{{- define "isc.tlsMounts" -}}
{{- if include "isc.ownCertificate" . }}
- name: tls
  mountPath: /run/isc/tls
  readOnly: true
{{- end }}
{{- if and .Values.amqp.tls.enabled .Values.amqp.tls.caSecret }}
- name: amqp-ca
  mountPath: /run/isc/amqp-ca
  readOnly: true
{{- end }}
{{- end -}}

{{- /* (dict "root" $ "secret" name) */ -}}
{{- define "isc.tlsVolumes" -}}
{{- if include "isc.ownCertificate" .root }}
# Keys tls.crt, tls.key and ca.crt, as cert-manager writes them.
- name: tls
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
{{- end }}
{{- if and .root.Values.amqp.tls.enabled .root.Values.amqp.tls.caSecret }}
- name: amqp-ca
  secret:
    secretName: {{ .root.Values.amqp.tls.caSecret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- /* A Certificate of cert-manager: (dict "root" $ "name" "dnsNames" "usages"). Its name is that of its Secret. */ -}}
{{- define "isc.certificate" -}}
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ .name }}
  labels:
    {{- include "isc.labels" .root | nindent 4 }}
spec:
  secretName: {{ .name }}
  issuerRef:
    {{- toYaml .root.Values.tls.certManager.issuerRef | nindent 4 }}
  dnsNames:
    {{- toYaml .dnsNames | nindent 2 }}
  usages:
    {{- toYaml .usages | nindent 2 }}
  privateKey:
    algorithm: ECDSA
    encoding: PKCS8
    rotationPolicy: Always
{{- end -}}
