{{- /* The configuration files, as data. */ -}}

{{- /* The service files: those of `services`, or the chart's example. JSON, so that texts stay as they are. */ -}}
{{- define "isc.serviceFiles" -}}
{{- $files := .Values.services -}}
{{- if not $files -}}
{{- $files = dict -}}
{{- range $path, $_ := .Files.Glob "files/services/*" -}}
{{- $_ := set $files (base $path) ($.Files.Get $path) -}}
{{- end -}}
{{- end -}}
{{- toJson $files -}}
{{- end -}}

{{- define "isc.serviceNames" -}}
{{- $names := list -}}
{{- range $file, $_ := include "isc.serviceFiles" . | fromJson -}}
{{- if hasSuffix ".yaml" $file -}}
{{- $names = append $names (trimSuffix ".yaml" $file) -}}
{{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{- /* Which certificates may run which services: one rule for each pool. */ -}}
{{- define "isc.workerRules" -}}
{{- $rules := list -}}
{{- range $name, $pool := include "isc.pools" . | fromYaml -}}
{{- $rule := dict "identities" ($pool.identities | default (list $pool.workload)) "names" (list (printf "%s-*" $pool.workload)) -}}
{{- $_ := set $rule "services" ($pool.services | default (list "*")) -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- toJson $rules -}}
{{- end -}}

{{- define "isc.watcherConfig" -}}
{{- $policy := dict "file" "policy.yaml" -}}
{{- if .Values.policy.requesterPolicyInstalled -}}
{{- $_ := set $policy "requesterPolicyInstalled" true -}}
{{- end -}}
{{- $own := dict "instance" .Values.instance "servicesDir" "/etc/isc/services" "policy" $policy -}}
{{- $_ := set $own "drainSeconds" (int .Values.watcher.drainSeconds) -}}
{{- $_ := set $own "amqp" (include "isc.amqp" . | fromYaml) -}}
{{- $listen := dict "plaintext" true -}}
{{- if .Values.tls.enabled -}}
{{- $listen = dict "tls" (include "isc.tlsFiles" . | fromYaml) -}}
{{- end -}}
{{- if include "isc.scaled" . -}}
{{- $_ := set $own "scaler" (deepCopy $listen) -}}
{{- end -}}
{{- if .Values.tls.enabled -}}
{{- $_ := set $listen "workers" (include "isc.workerRules" . | fromJsonArray) -}}
{{- end -}}
{{- $_ := set $own "grpc" $listen -}}
{{- if gt (int .Values.watcher.replicas) 1 -}}
{{- $_ := set $own "election" .Values.watcher.election -}}
{{- end -}}
{{- $config := mergeOverwrite (dict "log" (dict "format" "json")) (deepCopy .Values.watcher.config) $own -}}
{{- toYaml $config -}}
{{- end -}}

{{- /* (dict "root" $ "pool" pool) */ -}}
{{- define "isc.workerConfig" -}}
{{- $scheme := .root.Values.tls.enabled | ternary "https" "http" -}}
{{- $own := dict "watcher" (printf "%s://%s:7443" $scheme (include "isc.watcher" .root)) -}}
{{- $_ := set $own "servicesDir" "/etc/isc/services" -}}
{{- $_ := set $own "workDir" "/work" -}}
{{- $_ := set $own "slots" (int .pool.slots) -}}
{{- $_ := set $own "drainSeconds" (int .pool.drainSeconds) -}}
{{- $_ := set $own "amqp" (set (include "isc.amqp" .root | fromYaml) "prefix" .root.Values.instance) -}}
{{- with .pool.services -}}
{{- $_ := set $own "services" . -}}
{{- end -}}
{{- if .root.Values.tls.enabled -}}
{{- $_ := set $own "watcherTls" (include "isc.tlsFiles" .root | fromYaml) -}}
{{- end -}}
{{- $config := mergeOverwrite (dict "log" (dict "format" "json")) (deepCopy .pool.config) $own -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "isc.amqp" -}}
urlFile: /run/isc/amqp/url
{{- with .Values.amqp.tls }}
{{- if .enabled }}
tls:
  caFile: {{ empty .caSecret | ternary "/run/isc/tls/ca.crt" "/run/isc/amqp-ca/ca.crt" }}
{{- if .clientCertificate }}
  certFile: /run/isc/tls/tls.crt
  keyFile: /run/isc/tls/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
