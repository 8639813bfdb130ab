{{/* What every container may do. */}}
{{- define "tidegate.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* The user of a pod's containers. Arguments: [user, group]. */}}
{{- define "tidegate.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ index . 0 }}
  runAsGroup: {{ index . 1 }}
  # Secrets are readable for this group alone.
  fsGroup: {{ index . 1 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* Where a pod may run. Arguments: [nodeSelector, tolerations, priorityClassName, imagePullSecrets]. */}}
{{- define "tidegate.placement" -}}
{{- with index . 0 }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with index . 1 }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with index . 2 }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with index . 3 }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Environment of every container of Tidegate. */}}
{{- define "tidegate.env" -}}
- name: TIDEGATE_CONFIG
  value: /etc/tidegate/settings/tidegate.toml
{{- end -}}

{{/* Volumes of every pod that writes events: settings, event files, /tmp, and the collector's own. */}}
{{- define "tidegate.eventVolumes" -}}
- name: settings
  configMap:
    name: {{ include "tidegate.fullname" . }}-settings
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
- name: logs
  emptyDir:
    sizeLimit: {{ .Values.collector.sizeLimit | quote }}
- name: collector
  emptyDir:
    sizeLimit: 256Mi
{{ include "tidegate.collectorSecretVolumes" . }}
{{- end -}}

{{/* The password with which the collector delivers, and the certificate authority. */}}
{{- define "tidegate.collectorSecretVolumes" -}}
{{- if .Values.logstash.url }}
{{- if .Values.logstash.secret }}
- name: collector-password
  secret:
    secretName: {{ .Values.logstash.secret | quote }}
    defaultMode: 0440
    items: [{key: {{ .Values.logstash.key | quote }}, path: password}]
{{- end }}
{{- else }}
{{- if .Values.elasticsearch.credentials.secret }}
- name: collector-password
  secret:
    secretName: {{ .Values.elasticsearch.credentials.secret | quote }}
    defaultMode: 0440
    items: [{key: writer, path: password}]
{{- end }}
{{- end }}
{{ include "tidegate.elasticsearchCaVolume" . }}
{{- end -}}

{{- define "tidegate.elasticsearchCaVolume" -}}
{{- if .Values.elasticsearch.ca.secret }}
- name: elasticsearch-ca
  secret:
    secretName: {{ .Values.elasticsearch.ca.secret | quote }}
    defaultMode: 0440
    items: [{key: {{ .Values.elasticsearch.ca.key | quote }}, path: ca.crt}]
{{- end }}
{{- end -}}

{{- define "tidegate.elasticsearchCaMount" -}}
{{- if .Values.elasticsearch.ca.secret }}
- {name: elasticsearch-ca, mountPath: /etc/tidegate/elasticsearch-ca, readOnly: true}
{{- end }}
{{- end -}}

{{/* Mounts of every container that writes events. */}}
{{- define "tidegate.eventMounts" -}}
- {name: settings, mountPath: /etc/tidegate/settings, readOnly: true}
- {name: tmp, mountPath: /tmp}
- {name: logs, mountPath: /var/lib/tidegate/logs}
{{- end -}}

{{/* The account that reads events. */}}
{{- define "tidegate.readerEnv" -}}
{{- if .Values.elasticsearch.credentials.secret }}
- name: TIDEGATE_STORE__ELASTICSEARCH__USERNAME
  value: {{ .Values.elasticsearch.credentials.reader | quote }}
- name: TIDEGATE_STORE__ELASTICSEARCH__PASSWORD_FILE
  value: /etc/tidegate/reader/password
{{- end }}
{{- end -}}

{{/* The collector as a native sidecar: it starts before the other containers and gets SIGTERM after they have ended,
     so that it delivers their last events. It has no readiness probe: a pod can serve while Elasticsearch is away.
     Arguments: [root, more environment]. */}}
{{- define "tidegate.collector" -}}
{{- $more := index . 1 -}}
{{- with index . 0 -}}
- name: collector
  {{- include "tidegate.image" (list . .Values.image) | nindent 2 }}
  restartPolicy: Always
  args: [collector]
  env:
    {{- include "tidegate.env" . | nindent 4 }}
    {{- if .Values.logstash.url }}
    - name: TIDEGATE_COLLECTOR__SINK
      value: logstash
    - name: TIDEGATE_COLLECTOR__LOGSTASH__URL
      value: {{ .Values.logstash.url | quote }}
    {{- if .Values.logstash.secret }}
    - name: TIDEGATE_COLLECTOR__LOGSTASH__USERNAME
      value: {{ .Values.logstash.username | quote }}
    - name: TIDEGATE_COLLECTOR__LOGSTASH__PASSWORD_FILE
      value: /etc/tidegate/collector/password
    {{- else }}
    - name: TIDEGATE_COLLECTOR__LOGSTASH__USERNAME
      value: ""
    {{- end }}
    {{- else if .Values.elasticsearch.credentials.secret }}
    - name: TIDEGATE_STORE__ELASTICSEARCH__USERNAME
      value: {{ .Values.elasticsearch.credentials.writer | quote }}
    - name: TIDEGATE_STORE__ELASTICSEARCH__PASSWORD_FILE
      value: /etc/tidegate/collector/password
    {{- end }}
    {{- range $name, $value := $more }}
    - name: {{ $name }}
      value: {{ $value | quote }}
    {{- end }}
  ports:
    - {name: collector, containerPort: 9101}
  livenessProbe:
    httpGet: {path: /metrics, port: collector}
    initialDelaySeconds: 20
    periodSeconds: 20
    timeoutSeconds: 5
    failureThreshold: 6
  resources: {{- toYaml .Values.collector.resources | nindent 4 }}
  {{- include "tidegate.containerSecurity" . | nindent 2 }}
  volumeMounts:
    # One level above its folder, which it makes itself: a volume belongs to root, so it could not make that private.
    - {name: collector, mountPath: /var/lib/tidegate}
    {{- include "tidegate.eventMounts" . | nindent 4 }}
    {{- if or (and .Values.logstash.url .Values.logstash.secret) (and (not .Values.logstash.url) .Values.elasticsearch.credentials.secret) }}
    - {name: collector-password, mountPath: /etc/tidegate/collector, readOnly: true}
    {{- end }}
    {{- include "tidegate.elasticsearchCaMount" . | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* The time in which the collector delivers the last events: its retries, and a request that has begun. */}}
{{- define "tidegate.collectorSeconds" -}}
{{- add (ceil (include "tidegate.settings" . | fromJson).collector.last_pass_seconds) 25 -}}
{{- end -}}

{{/* Of a pod that must have ended before its successor is created: who decides, and who watches, is not away for the
     minute in which the collector waits for an Elasticsearch that is away. */}}
{{- define "tidegate.briefLastPass" -}}
TIDEGATE_COLLECTOR__LAST_PASS_SECONDS: "10"
{{- end -}}

{{/* The token of the pod's ServiceAccount, for the one container that uses the API. */}}
{{- define "tidegate.tokenVolume" -}}
- name: kubernetes
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3600}
      - configMap:
          name: kube-root-ca.crt
          items: [{key: ca.crt, path: ca.crt}]
      - downwardAPI:
          items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]
{{- end -}}

{{- define "tidegate.tokenMount" -}}
- {name: kubernetes, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end -}}
