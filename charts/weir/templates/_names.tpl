{{- /* Names and labels that several files share. */ -}}
{{- define "weir.name" -}}
{{ .Values.nameOverride | default .Chart.Name }}
{{- end }}

{{- define "weir.fullname" -}}
{{- $name := include "weir.name" . -}}
{{- if .Values.fullnameOverride -}}{{ .Values.fullnameOverride }}
{{- else if contains $name .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "weir.selector" -}}
app.kubernetes.io/name: {{ include "weir.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "weir.image" -}}
{{- $repository := required "image.repository is not set: Weir's images are not published yet; build one with the Dockerfile, push it to a registry that the cluster reaches, and name it here, e.g. --set image.repository=registry.example/weir" .Values.image.repository -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- if hasPrefix "sha256:" $tag -}}{{ $repository }}@{{ $tag }}
{{- else -}}{{ $repository }}:{{ $tag }}
{{- end -}}
{{- end }}

{{- define "weir.platformNamespace" -}}
{{ .Values.platformNamespace | default .Release.Namespace }}
{{- end }}

{{- /* Seconds that a drain takes at most: 15 before the listeners close, the streams, 15 to flush, 30 to spare. */ -}}
{{- define "weir.drainSeconds" -}}
{{ add 15 .Values.dataplane.drainTimeoutSeconds 15 30 }}
{{- end }}

{{- define "weir.gracePeriodSeconds" -}}
{{- $needed := include "weir.drainSeconds" . | int -}}
{{- $given := .Values.dataplane.terminationGracePeriodSeconds | default $needed | int -}}
{{- if lt $given $needed -}}
{{- fail (printf "dataplane.terminationGracePeriodSeconds is %d, but a drain takes up to %d s (15 before the listeners close, %d for streams, 15 to flush, 30 to spare) and streams would be cut: leave it empty, or lower dataplane.drainTimeoutSeconds" $given $needed (int .Values.dataplane.drainTimeoutSeconds)) -}}
{{- end -}}
{{- $given -}}
{{- end }}

{{- define "weir.dataplaneSelector" -}}
app.kubernetes.io/name={{ include "weir.name" . }},app.kubernetes.io/instance={{ .Release.Name }},app.kubernetes.io/component=dataplane
{{- end }}
