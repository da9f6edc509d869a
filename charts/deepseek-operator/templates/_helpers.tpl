{{/* Name of every object: the release's, with the chart's unless it says that already. Room is left for suffixes. */}}
{{- define "deepseek-operator.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes for a release: a Deployment's selector cannot. */}}
{{- define "deepseek-operator.selector" -}}
app.kubernetes.io/name: deepseek-operator
app.kubernetes.io/instance: {{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "deepseek-operator.controllerSelector" -}}
{{ include "deepseek-operator.selector" . }}
app.kubernetes.io/component: controller
{{- end -}}

{{- define "deepseek-operator.testSelector" -}}
{{ include "deepseek-operator.selector" . }}
app.kubernetes.io/component: test
{{- end -}}

{{- define "deepseek-operator.labels" -}}
{{ include "deepseek-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "deepseek-operator.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Pod Security "restricted"; 65532 is nobody's user. */}}
{{- define "deepseek-operator.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "deepseek-operator.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/*
A custom resource definition (the second of a list) with the chart's labels (of the first), and the annotation that keeps it.
The text is not a template, so braces in it mean nothing; it is not parsed and printed anew either, which would turn its
large integers into floating-point numbers.
*/}}
{{- define "deepseek-operator.crd" -}}
{{- $root := index . 0 -}}
{{- $text := index . 1 -}}
{{- $anchor := "(?m)^metadata:$" -}}
{{- if ne (len (regexFindAll $anchor $text -1)) 1 -}}
{{- fail "a file in crd-files needs exactly one line `metadata:`" -}}
{{- end -}}
{{- if regexMatch "(?m)^  (annotations|labels):" $text -}}
{{- fail "a file in crd-files may not have annotations or labels: the chart adds its own" -}}
{{- end -}}
{{- $metadata := printf "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n  labels:\n%s" (include "deepseek-operator.labels" $root | indent 4) -}}
{{- regexReplaceAllLiteral $anchor $text $metadata -}}
{{- end -}}
