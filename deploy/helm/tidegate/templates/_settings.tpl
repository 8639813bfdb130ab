{{/* Tidegate's settings: the values over the defaults that templates read, and those that the chart sets itself. Returns JSON. */}}
{{- define "tidegate.settings" -}}
{{- $settings := mergeOverwrite (.Files.Get "files/default-settings.json" | fromJson) (deepCopy (default dict .Values.settings)) -}}
{{- /* Events of releases that share an Elasticsearch are told apart by it. An older release keeps the name that its events have. */ -}}
{{- $live := dig "data" "tidegate.toml" "" (lookup "v1" "ConfigMap" .Release.Namespace (printf "%s-settings" (include "tidegate.fullname" .))) -}}
{{- if or (not $live) (regexMatch "(?m)^name = " $live) -}}
{{- $settings = mergeOverwrite (dict "service" (dict "name" (.Release.Name | replace "." "-"))) $settings -}}
{{- end -}}
{{- $replicas := $settings.replicas -}}
{{- $start := $replicas.start | default (max 1 (int $replicas.min)) -}}
{{- $host := ternary "::" "0.0.0.0" (eq .Values.ipFamily "IPv6") -}}
{{- $elasticsearch := dict "url" .Values.elasticsearch.url -}}
{{- if .Values.elasticsearch.ca.secret -}}
{{- $_ := set $elasticsearch "ca_file" "/etc/tidegate/elasticsearch-ca/ca.crt" -}}
{{- end -}}
{{- $own := dict
  "stack" (dict "data_dir" "/var/lib/tidegate" "host" $host "metrics_host" $host)
  "replicas" (dict "first_port" (int .Values.model.port) "start" (int $start))
  "store" (dict "kind" "elasticsearch" "elasticsearch" $elasticsearch)
  "autoscaler" (dict "enabled" (eq (include "tidegate.decides" .) "true"))
  "drift" (dict "watch" .Values.monitor.enabled)
-}}
{{- /* What runs is all: the gateway refuses by time only when no further replica can come. */ -}}
{{- if eq (include "tidegate.mode" .) "none" -}}
{{- $_ := set $own.replicas "max" (max 1 (int $start)) -}}
{{- end -}}
{{- mergeOverwrite $settings $own | toJson -}}
{{- end -}}

{{/* A mapping as tables of TOML. Arguments: [prefix, mapping]. */}}
{{- define "tidegate.toml" -}}
{{- $prefix := index . 0 -}}
{{- range $key, $value := index . 1 -}}
{{- if and (not (kindIs "map" $value)) (not (kindIs "invalid" $value)) }}
{{ $key }} = {{ include "tidegate.tomlValue" $value }}
{{- end -}}
{{- end -}}
{{- range $key, $value := index . 1 -}}
{{- if kindIs "map" $value }}

[{{ $prefix }}{{ $key }}]
{{- include "tidegate.toml" (list (printf "%s%s." $prefix $key) $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A text, number, boolean or list as TOML: the notation of JSON, and inline tables in lists. */}}
{{- define "tidegate.tomlValue" -}}
{{- if kindIs "slice" . -}}
[{{- range $index, $item := . -}}{{- if $index }}, {{ end -}}{{- include "tidegate.tomlValue" $item -}}{{- end -}}]
{{- else if kindIs "map" . -}}
{ {{- $first := true -}}{{- range $key, $value := . -}}{{- if not $first }}, {{ end -}}{{ $key }} = {{ include "tidegate.tomlValue" $value }}{{- $first = false -}}{{- end -}} }
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{/* The annotation that replaces pods when settings change that they read. Arguments: [root, sections they do not read]. */}}
{{- define "tidegate.settingsChecksum" -}}
{{- $settings := include "tidegate.settings" (index . 0) | fromJson -}}
{{- range index . 1 -}}{{- $settings = omit $settings . -}}{{- end -}}
checksum/settings: {{ $settings | toJson | sha256sum | trunc 16 | quote }}
{{- end -}}

{{/* The number of pods that the Deployment states: in the mode none that of the settings. In the others it is nobody's but of
     what scales. But if helm takes away a number that it stated, the API server sets 1; so after the mode none it states the
     present one. Applied by the server (helm 4): until another client has set one, as the server keeps who sets what. By
     helm itself (helm 3): from then on, which the annotation keeps. */}}
{{- define "tidegate.replicas" -}}
{{- if eq (include "tidegate.mode" .) "none" -}}
{{- (include "tidegate.settings" . | fromJson).replicas.start -}}
{{- else -}}
{{- $live := lookup "apps/v1" "Deployment" .Release.Namespace (printf "%s-model" (include "tidegate.fullname" .)) -}}
{{- $stated := eq "stated" (dig "metadata" "annotations" "tidegate/replicas" "" $live) -}}
{{- range dig "metadata" "managedFields" list $live -}}
{{- $fields := dig "fieldsV1" "f:spec" dict . -}}
{{- if hasKey $fields "f:template" -}}
{{- $stated = or (hasKey $fields "f:replicas") (and $stated (ne .operation "Apply")) -}}
{{- end -}}
{{- end -}}
{{- if $stated -}}{{- $live.spec.replicas -}}{{- end -}}
{{- end -}}
{{- end -}}
