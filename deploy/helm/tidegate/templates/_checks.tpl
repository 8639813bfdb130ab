{{/* The mode of scaling in force. KEDA's objects need KEDA's definitions in the cluster. */}}
{{- define "tidegate.mode" -}}
{{- $mode := .Values.scaling.mode -}}
{{- $keda := .Capabilities.APIVersions.Has "keda.sh/v1alpha1" -}}
{{- if eq $mode "auto" -}}
{{- ternary "keda-external" "resizer" $keda -}}
{{- else if and (has $mode (list "keda-external" "keda-metrics-api" "hpa")) (not $keda) -}}
{{- fail (printf "scaling.mode is %s, but this cluster has no KEDA (no API keda.sh/v1alpha1): install KEDA first, or set scaling.mode to resizer; without a cluster, add --api-versions keda.sh/v1alpha1" $mode) -}}
{{- else -}}
{{- $mode -}}
{{- end -}}
{{- end -}}

{{/* The autoscaler runs where Tidegate decides. */}}
{{- define "tidegate.decides" -}}
{{- if has (include "tidegate.mode" .) (list "keda-external" "keda-metrics-api" "resizer") -}}true{{- end -}}
{{- end -}}

{{/* Values that contradict each other or the cluster, one sentence each. What one value may be: values.schema.json; what the
     settings may be together: the job of settings-check.yaml. */}}
{{- define "tidegate.checks" -}}
{{- if not .Values.elasticsearch.url -}}
{{- fail "elasticsearch.url is empty: set it to the URL of your Elasticsearch, such as --set elasticsearch.url=https://elasticsearch.logging:9200" -}}
{{- end -}}
{{- if and .Values.elasticsearch.setup.secret (not .Values.elasticsearch.credentials.secret) -}}
{{- fail "elasticsearch.setup.secret is set, but elasticsearch.credentials.secret is empty: name the Secret with the passwords of the accounts, under the keys writer and reader" -}}
{{- end -}}
{{- if eq .Values.prometheus.mode "operator" -}}
{{- if not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
{{- fail "prometheus.mode is operator, but this cluster has no Prometheus Operator (no API monitoring.coreos.com/v1): install it first, or set prometheus.mode to bundled; without a cluster, add --api-versions monitoring.coreos.com/v1" -}}
{{- end -}}
{{- end -}}
{{- if and (ne .Values.prometheus.mode "bundled") (not .Values.prometheus.url) (ne (include "tidegate.mode" .) "none") -}}
{{- fail (printf "prometheus.url is empty: with prometheus.mode %s, set it to the URL of your Prometheus, which the scaling reads" .Values.prometheus.mode) -}}
{{- end -}}
{{- $full := include "tidegate.fullname" . -}}
{{- if not (regexMatch "^[a-z][a-z0-9-]*$" $full) -}}
{{- fail (printf "the names of Services would begin with %s: take a name of the release of lower-case letters, digits and hyphens that begins with a letter, or set fullnameOverride" $full) -}}
{{- end -}}
{{- if and .Values.networkPolicy.modelEgress (not .Values.networkPolicy.collectorEgress) -}}
{{- fail "networkPolicy.modelEgress is set, and it holds for the whole pod, with its collector: set networkPolicy.collectorEgress to the egress rules for your Elasticsearch or Logstash" -}}
{{- end -}}
{{- end -}}

{{/* The chart's rule files are for the default settings, as helm cannot calculate others. */}}
{{- define "tidegate.rulesCheck" -}}
{{- $settings := include "tidegate.settings" . | fromJson -}}
{{- if not .Values.prometheus.rules -}}
{{- range $name, $default := .Files.Get "files/rule-settings.json" | fromJson -}}
{{- $value := $settings -}}
{{- range splitList "." $name -}}
{{- $value = ternary (get (default dict $value) .) nil (and (kindIs "map" $value) (hasKey (default dict $value) .)) -}}
{{- end -}}
{{- if and (not (kindIs "invalid" $value)) (ne (toJson $value) (toJson $default)) -}}
{{- fail (printf "settings.%s is %s, not the default %s, and prometheus.mode is operator: the alerts and recorded series depend on it, so run `tidegate setup rules --values YOUR-VALUES.yaml >rules.yaml` and add -f rules.yaml" $name (toJson $value) (toJson $default)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The keys of Secrets that pods mount: the value that names the Secret, its name, the key. Returns JSON. */}}
{{- define "tidegate.requiredSecrets" -}}
{{- $elasticsearch := .Values.elasticsearch -}}
{{- $found := list
  (list "elasticsearch.ca.secret" $elasticsearch.ca.secret $elasticsearch.ca.key)
  (list "elasticsearch.setup.secret" $elasticsearch.setup.secret $elasticsearch.setup.key)
  (list "secrets.existing" .Values.secrets.existing "prediction_key")
-}}
{{- $keys := ternary (list) (list "writer") (not (empty .Values.logstash.url)) -}}
{{- if .Values.monitor.enabled -}}{{- $keys = append $keys "reader" -}}{{- end -}}
{{- if $elasticsearch.setup.secret -}}
{{- $keys = ternary (list "writer" "reader" "viewer" "kibana_system") (list "writer" "reader") (eq $elasticsearch.setup.users "native") -}}
{{- end -}}
{{- range $keys -}}
{{- $found = append $found (list "elasticsearch.credentials.secret" $elasticsearch.credentials.secret .) -}}
{{- end -}}
{{- if eq (include "tidegate.mode" .) "resizer" -}}
{{- $found = append $found (list "secrets.existing" .Values.secrets.existing "resizer_token") -}}
{{- end -}}
{{- if .Values.logstash.url -}}
{{- $found = append $found (list "logstash.secret" .Values.logstash.secret .Values.logstash.key) -}}
{{- end -}}
{{- if .Values.kibana.url -}}
{{- $found = concat $found (list
  (list "kibana.secret" .Values.kibana.secret .Values.kibana.key)
  (list "kibana.ca.secret" .Values.kibana.ca.secret .Values.kibana.ca.key)) -}}
{{- end -}}
{{- $named := list -}}
{{- range $found -}}
{{- if index . 1 -}}{{- $named = append $named (dict "value" (index . 0) "name" (index . 1) "key" (index . 2)) -}}{{- end -}}
{{- end -}}
{{- toJson $named -}}
{{- end -}}
