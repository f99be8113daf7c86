{{/* One name for all objects; the default release gives just "portcullis". */}}
{{- define "portcullis.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "portcullis.instanceLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The pods that answer reviews; the test pod shares the instance labels but not the component. */}}
{{- define "portcullis.selectorLabels" -}}
{{ include "portcullis.instanceLabels" . }}
app.kubernetes.io/component: webhook
{{- end }}

{{- define "portcullis.labels" -}}
{{ include "portcullis.instanceLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: portcullis
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "portcullis.serviceAccountName" -}}
{{- default (include "portcullis.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "portcullis.image" -}}
{{- $name := .Values.image.repository }}
{{- if .Values.image.registry }}
{{- $name = printf "%s/%s" (trimSuffix "/" .Values.image.registry) $name }}
{{- end }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $name .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "portcullis.tlsSecretName" -}}
{{- if eq .Values.tls.source "secret" }}
{{- required "tls.existingSecret.name is needed with tls.source=secret: the Secret with tls.crt and tls.key in the release namespace" .Values.tls.existingSecret.name }}
{{- else }}
{{- default (printf "%s-tls" (include "portcullis.fullname" .)) .Values.tls.secretName }}
{{- end }}
{{- end }}

{{/* Not empty when callers must show a certificate. */}}
{{- define "portcullis.clientCA" -}}
{{- with .Values.webhook.clientCA }}{{ default .secret .configMap }}{{ end }}
{{- end }}

{{- define "portcullis.certificateName" -}}
{{- printf "%s-serving" (include "portcullis.fullname" .) }}
{{- end }}

{{/* Namespaces that no entry of the webhook configuration ever sees, as a JSON list: valid in YAML and in CEL alike. */}}
{{- define "portcullis.excludedNamespaces" -}}
{{- concat (list "kube-system" "kube-node-lease" "kube-public" .Release.Namespace) (default list .Values.webhook.excludeNamespaces) | uniq | sortAlpha | toJson }}
{{- end }}

{{- define "portcullis.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "portcullis.containerSecurityContext" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* A mistake that only shows at run time is cheaper here. */}}
{{- define "portcullis.validate" -}}
{{- if and .Values.networkPolicy.enabled (not .Values.hostNetwork) (eq .Values.networkPolicy.defaultDeny "namespace") (has .Release.Namespace (list "default" "kube-system" "kube-public" "kube-node-lease")) }}
{{- fail (printf "\n\nPortcullis would put a default deny on every pod of namespace %s.\nInstall it into a namespace of its own:  --namespace portcullis --create-namespace\nor limit its policies to its own pods:   --set networkPolicy.defaultDeny=pods\n" .Release.Namespace) }}
{{- end }}
{{- if and .Values.hostNetwork (eq (int .Values.ports.webhook) 10250) }}
{{- fail "\n\nhostNetwork is set and ports.webhook is 10250, which the kubelet has on every node. Choose another: --set ports.webhook=9443\n" }}
{{- end }}
{{- if eq (int .Values.ports.webhook) (int .Values.ports.admin) }}
{{- fail "\n\nports.webhook and ports.admin must differ.\n" }}
{{- end }}
{{- /* The chart writes these itself, and selectors go by some. Here and not in the schema, whose message names another value. */}}
{{- range $value, $labels := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels "metrics.serviceMonitor.labels" .Values.metrics.serviceMonitor.labels "metrics.prometheusRule.labels" .Values.metrics.prometheusRule.labels "metrics.dashboard.labels" .Values.metrics.dashboard.labels }}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/component" "app.kubernetes.io/part-of" "app.kubernetes.io/managed-by" "helm.sh/chart" }}
{{- if hasKey (default dict $labels) $label }}
{{- fail (printf "\n\n%s holds the label %s, which the chart sets itself: take it out.\n" $value $label) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.webhook.clientCA }}
{{- if and .configMap .secret }}
{{- fail "\n\nwebhook.clientCA names a ConfigMap and a Secret: give one of them.\n" }}
{{- end }}
{{- if and (or .names .testSecret) (not (or .configMap .secret)) }}
{{- fail "\n\nwebhook.clientCA.names and testSecret need webhook.clientCA.configMap or secret, the CA of the callers.\n" }}
{{- end }}
{{- end }}
{{- if hasKey (default dict .Values.webhook.annotations) "portcullis.dev/failure-policy" }}
{{- fail "\n\nwebhook.annotations holds portcullis.dev/failure-policy, which the value failurePolicy sets: take it out.\n" }}
{{- end }}
{{- if and (eq .Values.tls.source "cert-manager") (hasKey (default dict .Values.webhook.annotations) "cert-manager.io/inject-ca-from") }}
{{- fail "\n\ntls.source=cert-manager sets the annotation cert-manager.io/inject-ca-from itself: take it out of webhook.annotations.\n" }}
{{- end }}
{{- if and (eq .Values.tls.source "secret") (not .Values.tls.existingSecret.caBundle) (not .Values.webhook.annotations) }}
{{- fail "\n\ntls.source=secret needs tls.existingSecret.caBundle (base64 of the CA's PEM text), or an annotation in webhook.annotations\nby which cert-manager's cainjector fills it in: without it no API server trusts the certificate.\n" }}
{{- end }}
{{- end }}

{{- define "portcullis.reviewPath" -}}
/v1/review/mode/{{ .Values.mode }}/from-controllers/{{ .Values.fromControllers }}
{{- end }}
