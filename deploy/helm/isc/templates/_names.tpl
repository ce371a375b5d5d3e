{{- /* Names and labels. All names begin with the release's; that of the kustomize base is `isc`. Short enough that
       the names of pods begin with the whole name of their pool. */ -}}

{{- define "isc.name" -}}
{{- .Release.Name | trunc 30 | trimSuffix "-" -}}
{{- end -}}

{{- define "isc.watcher" -}}
{{- printf "%s-watcher" (include "isc.name" .) -}}
{{- end -}}

{{- /* The name of a pool's Deployment: (dict "root" $ "pool" name). */ -}}
{{- define "isc.workload" -}}
{{- $name := printf "%s-worker" (include "isc.name" .root) -}}
{{- eq .pool "default" | ternary $name (printf "%s-%s" $name .pool) -}}
{{- end -}}

{{- define "isc.servicesConfigMap" -}}
{{- .Values.servicesConfigMap | default (printf "%s-services" (include "isc.name" .)) -}}
{{- end -}}

{{- define "isc.image" -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}

{{- define "isc.podLabels" -}}
app.kubernetes.io/name: isc
app.kubernetes.io/part-of: internal-service-controller
{{- end -}}

{{- define "isc.labels" -}}
{{ include "isc.podLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "isc.watcherSelector" -}}
app.kubernetes.io/component: watcher
app.kubernetes.io/instance: {{ include "isc.name" . }}
{{- end -}}

{{- /* All workers of all pools. */ -}}
{{- define "isc.workerSelector" -}}
app.kubernetes.io/component: worker
app.kubernetes.io/instance: {{ include "isc.name" . }}
{{- end -}}

{{- /* The workers of one pool: (dict "root" $ "pool" name). */ -}}
{{- define "isc.poolSelector" -}}
{{ include "isc.workerSelector" .root }}
internal.services/pool: {{ .pool }}
{{- end -}}
