{{- /* The pools with all their values, by name: `worker` and what the pool says over it. */ -}}
{{- define "isc.pools" -}}
{{- $pools := dict -}}
{{- range $name, $own := .Values.workers -}}
{{- if not (kindIs "invalid" $own) -}}
{{- $pool := mergeOverwrite (deepCopy $.Values.worker) (deepCopy $own) -}}
{{- $_ := set $pool "workload" (include "isc.workload" (dict "root" $ "pool" $name)) -}}
{{- $_ := set $pool "secret" (include "isc.workerTlsSecret" (dict "root" $ "workload" $pool.workload)) -}}
{{- $_ := set $pools $name $pool -}}
{{- end -}}
{{- end -}}
{{- toYaml $pools -}}
{{- end -}}

{{- /* Yes when KEDA scales any pool. */ -}}
{{- define "isc.scaled" -}}
{{- range $name, $pool := include "isc.pools" . | fromYaml -}}
{{- if $pool.keda.enabled }}yes{{ end -}}
{{- end -}}
{{- end -}}

{{- /* What cannot be said in values.schema.json. Called once, by the first template. */ -}}
{{- define "isc.check" -}}
{{- if and .Values.watcher.rollingUpdate (lt (int .Values.watcher.replicas) 2) -}}
{{- fail "watcher.rollingUpdate: one watcher alone must be gone before the next one starts: leave it false, or set watcher.replicas to 2 or more" -}}
{{- end -}}
{{- if and .Values.services .Values.servicesConfigMap -}}
{{- fail "servicesConfigMap and services exclude each other: remove one" -}}
{{- end -}}
{{- range $key := list "instance" "servicesDir" "amqp" "grpc" "scaler" "election" "policy" "drainSeconds" -}}
{{- if hasKey $.Values.watcher.config $key -}}
{{- fail (printf "watcher.config.%s: the chart sets this key: use the values that it has for it" $key) -}}
{{- end -}}
{{- end -}}
{{- $known := include "isc.serviceNames" . | fromJsonArray -}}
{{- range $name, $pool := include "isc.pools" . | fromYaml -}}
{{- range $key := list "name" "watcher" "watcherTls" "servicesDir" "services" "slots" "workDir" "amqp" "drainSeconds" -}}
{{- if hasKey $pool.config $key -}}
{{- fail (printf "workers.%s.config.%s: the chart sets this key: use the values that it has for it" $name $key) -}}
{{- end -}}
{{- end -}}
{{- if and $pool.jobsNamespace (eq $pool.jobsNamespace $.Release.Namespace) -}}
{{- fail (printf "workers.%s.jobsNamespace: whoever may start Jobs in %s can read all Secrets there, the watcher's too: name another namespace" $name $.Release.Namespace) -}}
{{- end -}}
{{- range $service := $pool.services -}}
{{- if not (or $.Values.servicesConfigMap (has $service $known)) -}}
{{- fail (printf "workers.%s.services: there is no file %s.yaml in `services`" $name $service) -}}
{{- end -}}
{{- end -}}
{{- if and $pool.keda.enabled $.Values.servicesConfigMap (not $pool.services) -}}
{{- fail (printf "workers.%s.services: KEDA must be told which services count: name those of servicesConfigMap that these workers run" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
