{{/* The prefix of all names. Short enough for the longest name that is made of it, keda-hpa-PREFIX-model. */}}
{{- define "tidegate.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The DNS name of a Service, by the suffix of its name. Arguments: [root, suffix]. */}}
{{- define "tidegate.host" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s.%s.svc.%s" (include "tidegate.fullname" $root) (index . 1) $root.Release.Namespace $root.Values.clusterDomain -}}
{{- end -}}

{{/* The labels by which pods of a component are selected. Arguments: [root, component]. */}}
{{- define "tidegate.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels of an object of a component. Arguments: [root, component]. */}}
{{- define "tidegate.labels" -}}
{{- $root := index . 0 -}}
{{ include "tidegate.selector" . }}
app.kubernetes.io/part-of: tidegate
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{/* An image as `image:` and `imagePullPolicy:`. Arguments: [root, image]. */}}
{{- define "tidegate.image" -}}
{{- $image := index . 1 -}}
image: {{ printf "%s:%s" $image.repository (default (index . 0).Chart.AppVersion $image.tag) | quote }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- end -}}

{{- define "tidegate.secretName" -}}
{{- default (printf "%s-secrets" (include "tidegate.fullname" .)) .Values.secrets.existing -}}
{{- end -}}

{{/* The data of the Secret that the chart makes, the same each time in one rendering: what is there, or new values. */}}
{{- define "tidegate.secretData" -}}
{{- if not (hasKey .Values.secrets "data") -}}
{{- $present := (lookup "v1" "Secret" .Release.Namespace (include "tidegate.secretName" .)).data | default dict -}}
{{- $data := dict -}}
{{- range $key := list "prediction_key" "resizer_token" -}}
{{- $_ := set $data $key (index $present $key | default (randAlphaNum 48 | b64enc)) -}}
{{- end -}}
{{- $_ := set .Values.secrets "data" $data -}}
{{- end -}}
{{- toYaml .Values.secrets.data -}}
{{- end -}}

{{/* The name of a job, which a label of its pod has. Arguments: [root, what is set up]. */}}
{{- define "tidegate.setupJob" -}}
{{- $root := index . 0 -}}
{{- printf "%s-setup-%s-%d" (include "tidegate.fullname" $root | trunc 36 | trimSuffix "-") (index . 1) $root.Release.Revision -}}
{{- end -}}

{{- define "tidegate.prometheusUrl" -}}
{{- if eq .Values.prometheus.mode "bundled" -}}
http://{{ include "tidegate.host" (list . "prometheus") }}:9090
{{- else -}}
{{- .Values.prometheus.url -}}
{{- end -}}
{{- end -}}
