#!/usr/bin/env bash
# test.sh: renders the chart with several sets of values and checks what comes out; touches no cluster. Ends with
# "N passed, N failed", and fails if anything did. Needs helm (on PATH, the lab's, or $HELM), jq and kubectl (the same way).
# shellcheck disable=SC2016 # variables in single quotes are those of jq
set -euo pipefail
TOP=$(cd "$(dirname "$0")/.." && pwd)
CHART=$TOP/charts/deepseek-operator
program() { command -v "$1" || { [ -x "$TOP/target/lab/bin/$1" ] && echo "$TOP/target/lab/bin/$1"; } || { echo "needed: $1" >&2; exit 2; }; }
HELM=${HELM:-$(program helm)}
KUBECTL=${KUBECTL:-$(program kubectl)}
JQ=$(program jq)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

passed=0 failed=0
# ok WHAT COMMAND...: passes if the command does. Its output is shown only if it does not.
ok() {
    if "${@:2}" >"$WORK/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n' "$1"
        head -n 20 "$WORK/log" | sed 's/^/    /'
    fi
}
not() { ! "$@"; }

# Helm itself turns YAML into JSON here: no second YAML parser is needed, and it is the one that counts.
mkdir -p "$WORK/json/templates"
printf 'apiVersion: v2\nname: json\nversion: 0.0.0\n' >"$WORK/json/Chart.yaml"
cat >"$WORK/json/templates/all.yaml" <<'EOF'
{{- $all := list }}
{{- range regexSplit "(?m)^---.*$" (.Files.Get "input") -1 }}
{{- with fromYaml . }}{{ $all = append $all . }}{{ end }}
{{- end }}
apiVersion: v1
kind: Converted
metadata: {name: converted}
documents: {{ toJson $all }}
EOF
# to_json FILE: prints an array of its documents; fails if one of them is no YAML.
to_json() {
    cp "$1" "$WORK/json/input"
    "$HELM" template json "$WORK/json" >"$WORK/json.out"
    sed -n 's/^documents: //p' "$WORK/json.out" | "$JQ" -e 'if any(keys == ["Error"]) then error(tostring) else . end'
}

RELEASE=operator
template() { "$HELM" template "$RELEASE" "$CHART" -n deepseek-system --kube-version 1.35.0 "$@"; }
# render NAME ARGUMENT...: keeps the objects in $WORK/NAME.json.
render() {
    template "${@:2}" >"$WORK/$1.yaml" && to_json "$WORK/$1.yaml" >"$WORK/$1.json"
}
# holds NAME EXPRESSION: true of the array of objects. jq's `all` is true of nothing at all, so `some` asks for one first.
holds() { "$JQ" -e "def some(f): length > 0 and all(f); def kind(k): map(select(.kind == k)); $2" "$WORK/$1.json"; }
refuses() { # refuses WORDS ARGUMENT...: the schema does, and says so
    if template "${@:2}" >"$WORK/out" 2>"$WORK/err"; then
        echo "accepted"
        return 1
    fi
    grep -F -- "$1" "$WORK/err" || { cat "$WORK/err"; return 1; }
}

# --- it renders -------------------------------------------------------------------------------------------------------

cat >"$WORK/all-values.yaml" <<EOF
replicas: 3
image: {repository: "registry.example:5000/mirror/operator", digest: "sha256:$(printf 'a%.0s' {1..64})", pullPolicy: Always}
imagePullSecrets: [registry]
drain: false
engineImages: {LlamaCpp: "registry.example/llama-server:1", Simulator: "registry.example/sim@sha256:$(printf 'b%.0s' {1..64})"}
canary: {interval: 30, timeout: 60}
concurrency: 64
logLevel: info,kube=debug
logFormat: text
resources: {requests: {cpu: 1, memory: 1Gi}, limits: {memory: 1Gi}}
priorityClassName: system-cluster-critical
nodeSelector: {pool: system}
tolerations: [{key: CriticalAddonsOnly, operator: Exists}]
crds: {install: false}
networkPolicy: {metricsNamespaces: [monitoring], apiServerPorts: [443]}
gateway: {enabled: false, otlpEndpoint: "http://collector.monitoring:4318"}
nodeLoss: {taint: false}
serviceMonitor: {enabled: true, labels: {release: prometheus}, interval: 15s}
EOF
ok "helm lint" "$HELM" lint --strict "$CHART"
ok "helm lint, every value set" "$HELM" lint --strict "$CHART" -f "$WORK/all-values.yaml"
ok "renders with no values" render default
ok "renders with every value set" render everything -f "$WORK/all-values.yaml"
ok "renders without network policy" render open --set networkPolicy.enabled=false
ok "renders without resources" render bare --set resources.requests=null,resources.limits=null
RELEASE=a-release-name-of-53-letters-which-is-the-most-allow
ok "renders under the longest name" render long
RELEASE=operator
ok "the longest release name gives valid names" holds long \
    'map(.metadata.name, .roleRef.name // empty, (.. | objects | .serviceAccountName // empty)) | some(test("^[a-z0-9.-]*[a-z0-9]$") and length <= 63)'
ok "refuses a cluster that is too old" not template --kube-version 1.34.9

for name in default everything open bare long; do
    ok "$name: every object has a kind and a name" holds $name 'some(has("apiVersion") and has("kind") and .metadata.name != null)'
    ok "$name: names are unique" holds $name 'map([.kind, .metadata.name, .metadata.namespace]) | length == (unique | length)'
    ok "$name: namespaced objects name the namespace" holds $name \
        'map(select(.kind | IN("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding") | not))
         | some(.metadata.namespace | IN("deepseek-system", "kube-node-lease"))'
    ok "$name: objects have the standard labels" holds $name \
        'some(.metadata.labels | ."app.kubernetes.io/name" == "deepseek-operator" and ."app.kubernetes.io/version" and ."helm.sh/chart")'
    # kubectl reads the same text with another parser
    ok "$name: kubectl reads it" "$KUBECTL" label --local -f "$WORK/$name.yaml" a=b -o name
done
ok "no object has the label by which the operator finds its children" holds everything \
    'all(.metadata.labels."app.kubernetes.io/managed-by" != "deepseek-operator")'

# --- the operator -----------------------------------------------------------------------------------------------------

ok "two replicas" holds default 'kind("Deployment") | length == 1 and .[0].spec.replicas == 2'
ok "the selector selects the Pods" holds default \
    'kind("Deployment")[0].spec | (.template.metadata.labels | to_entries) as $has | .selector.matchLabels | to_entries | length > 0 and all(IN($has[]))'
ok "the selector has nothing that an upgrade changes" holds default \
    'kind("Deployment")[0].spec.selector.matchLabels | keys | all(test("version|chart") | not)'
ok "budget, Service and policy select the same Pods" holds default \
    'kind("Deployment")[0].spec.selector.matchLabels as $s | [kind("PodDisruptionBudget")[0].spec.selector.matchLabels, kind("Service")[0].spec.selector, kind("NetworkPolicy")[0].spec.podSelector.matchLabels] | all(. == $s)'
ok "the monitor selects the Service" holds everything \
    '(kind("Service")[0].metadata.labels | to_entries) as $has | kind("ServiceMonitor")[0].spec.selector.matchLabels | to_entries | length > 0 and all(IN($has[]))'
ok "an update never leaves fewer ready" holds default 'kind("Deployment")[0].spec.strategy.rollingUpdate | .maxUnavailable == 0 and .maxSurge == 1'
# a second spread constraint would void both on clusters without zones
ok "spread over nodes, and zones if there are any" holds default 'kind("Deployment")[0].spec.template.spec |
    (.topologySpreadConstraints | map(.topologyKey) == ["kubernetes.io/hostname"])
    and .affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.topologyKey == "topology.kubernetes.io/zone"'
ok "every flag" holds everything 'kind("Deployment")[0].spec.template.spec.containers[0].args == ["controller",
    "--lease=operator-deepseek-operator", "--concurrency=64", "--canary-interval=30", "--canary-timeout=60", "--log=info,kube=debug",
    "--log-format=text", "--metrics-namespace=monitoring", "--otlp-endpoint=http://collector.monitoring:4318", "--engine-image=LlamaCpp=registry.example/llama-server:1",
    "--engine-image=Simulator=registry.example/sim@sha256:" + "b" * 64]'
ok "a digest goes before the tag" holds everything \
    '[.[] | .. | .image? | strings] | length == 2 and all(. == "registry.example:5000/mirror/operator@sha256:" + "a" * 64)'
ok "the default tag is the version" holds default \
    '[.[] | .. | .image? | strings] | length == 2 and all(. == "ghcr.io/deepseek-operator/deepseek-operator:0.1.0")'
ok "placement and priority" holds everything 'kind("Deployment")[0].spec.template.spec |
    .priorityClassName == "system-cluster-critical" and .nodeSelector.pool == "system" and (.tolerations | length == 3) and .imagePullSecrets == [{name: "registry"}]'
ok "no priority class by default" holds default 'kind("Deployment")[0].spec.template.spec | has("priorityClassName") | not'
ok "the name of the Pod and its namespace" holds default 'kind("Deployment")[0].spec.template.spec.containers[0].env |
    map(select(.valueFrom) | {(.name): .valueFrom.fieldRef.fieldPath}) | add == {POD_NAME: "metadata.name", POD_NAMESPACE: "metadata.namespace"}'
ok "engines drain with the operator's own image" holds default 'kind("Deployment")[0].spec.template.spec.containers[0] |
    .image as $image | .env | map(select(.name == "OPERATOR_IMAGE")) == [{name: "OPERATOR_IMAGE", value: $image}]'
ok "gateways run the operator's own image" holds default 'kind("Deployment")[0].spec.template.spec.containers[0] |
    .image as $image | .env | map(select(.name == "GATEWAY_IMAGE")) == [{name: "GATEWAY_IMAGE", value: $image}]'
ok "draining and gateways can be switched off" holds everything 'kind("Deployment")[0].spec.template.spec.containers[0].env | length == 3'
ok "probes" holds default 'kind("Deployment")[0].spec.template.spec.containers[0] |
    .livenessProbe.httpGet == {path: "/livez", port: "admin"} and .readinessProbe.httpGet == {path: "/readyz", port: "admin"} and .ports[0].containerPort == 8080'
ok "memory is limited, processors are not" holds default \
    'kind("Deployment")[0].spec.template.spec.containers[0].resources | .limits | keys == ["memory"]'
ok "the test asks the Service" holds default '(kind("Service")[0].metadata.name) as $name | kind("Pod")[0] |
    .metadata.annotations."helm.sh/hook" == "test" and .spec.containers[0].args == ["check", "--url", "http://\($name).deepseek-system.svc:8080/readyz"]'
ok "the test's Pod is not the operator's" holds default \
    'kind("Pod")[0].metadata.labels."app.kubernetes.io/component" == "test" and kind("Service")[0].spec.selector."app.kubernetes.io/component" == "controller"'

# --- security ---------------------------------------------------------------------------------------------------------

pods='[.[] | if .kind == "Pod" then .spec else .spec.template.spec? // empty end]'
for name in default everything bare; do
    ok "$name: Pods are restricted" holds $name "$pods | length == 2 and all(
        .securityContext.runAsNonRoot and .securityContext.runAsUser == 65532 and .securityContext.runAsGroup == 65532
        and .securityContext.seccompProfile.type == \"RuntimeDefault\"
        and .hostNetwork == null and .hostPID == null and .hostIPC == null and .volumes == null
        and .enableServiceLinks == false)"
    ok "$name: containers are restricted" holds $name "$pods | map((.initContainers // []) + .containers) | add | length == 2 and all(.securityContext ==
        {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [\"ALL\"]}})"
    ok "$name: only the operator's Pods have a token" holds $name \
        'kind("ServiceAccount")[0].automountServiceAccountToken == false and kind("Pod")[0].spec.automountServiceAccountToken == false and kind("Deployment")[0].spec.template.spec.automountServiceAccountToken == true'

    rules='[.[] | select(.kind | IN("Role", "ClusterRole")) | .rules[]]'
    ok "$name: no wildcard" holds $name "$rules | length > 0 and all([.apiGroups, .resources, .verbs, .resourceNames // []] | add | all(contains(\"*\") | not))"
    ok "$name: no right over Secrets, tokens, cluster roles, definitions or processes" holds $name "$rules | length > 0 and all(.resources | all(test(
        \"secret|token|clusterrole|customresource|webhook|certificate|/exec|/attach|/proxy|/portforward|ephemeral|namespaces|persistentvolumes\") | not))"
    ok "$name: no verb that gives rights" holds $name "$rules | all(.verbs | all(IN(\"escalate\", \"bind\", \"impersonate\") | not))"
    ok "$name: no URL" holds $name "$rules | all(has(\"nonResourceURLs\") | not)"
done
# exactly this: a right that is added or taken away is a decision, and is made here as well
ok "the operator's rights are exactly these" holds default '
    kind("ClusterRole") | map(select(.metadata.name == "operator-deepseek-operator"))[0].rules
    | [.[] | .apiGroups[] as $g | .resources[] as $r | .verbs[] | "\($g)/\($r) \(.)"] | sort == ([
        (["get", "list", "watch"][] | "deepseek-operator.io/deepseekdeployments \(.)"),
        "deepseek-operator.io/deepseekdeployments/scale get", "deepseek-operator.io/deepseekdeployments/scale patch",
        "deepseek-operator.io/deepseekdeployments/status patch", "deepseek-operator.io/deepseekdeployments/finalizers update",
        (["apps/deployments", "/services", "policy/poddisruptionbudgets", "/configmaps", "/serviceaccounts", "rbac.authorization.k8s.io/roles",
          "rbac.authorization.k8s.io/rolebindings", "networking.k8s.io/networkpolicies"][] as $r | ["list", "watch", "create", "patch", "delete"][] | "\($r) \(.)"),
        (["/pods", "/nodes", "/persistentvolumeclaims"][] as $r | ["list", "watch"][] | "\($r) \(.)"),
        (["list", "watch", "create", "patch", "delete"][] | "discovery.k8s.io/endpointslices \(.)"), "/pods delete", "/nodes patch",
        "events.k8s.io/events create", "events.k8s.io/events patch"] | sort)'
ok "no right over nodes without the taint" holds everything '[.[] | select(.kind == "ClusterRole") | .rules[] | select(.resources | index("nodes")) | .verbs[]] | sort == ["list", "watch"]'
ok "no policy without the taint" holds everything 'map(select(.kind | startswith("ValidatingAdmissionPolicy"))) | length == 0'
ok "whoever may patch nodes is held to one taint" holds default '(kind("ServiceAccount")[0].metadata.name) as $account |
    kind("ValidatingAdmissionPolicy")[0].spec.matchConditions[0].expression == "request.userInfo.username == \"system:serviceaccount:deepseek-system:\($account)\""
    and kind("ValidatingAdmissionPolicyBinding")[0].spec.validationActions == ["Deny"]'
ok "leases of nodes are only looked at" holds default 'kind("Role") | map(select(.metadata.namespace == "kube-node-lease"))[0].rules == [{apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get"]}]'
ok "in its namespace: its own lease" holds default '(kind("Deployment")[0].spec.template.spec.containers[0].args | map(select(startswith("--lease=")))[0][8:]) as $lease |
    kind("Role")[0].rules == [{apiGroups: ["coordination.k8s.io"], resources: ["leases"], resourceNames: [$lease], verbs: ["get", "update"]},
        {apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["create"]}]'
ok "bindings bind the operator's account alone" holds default '(kind("ServiceAccount")[0].metadata.name) as $account |
    map(select(.kind | endswith("RoleBinding"))) | length == 3 and all(.subjects == [{kind: "ServiceAccount", name: $account, namespace: "deepseek-system"}])'
# the line before each rule is a comment
reasons() { awk '/- apiGroups:/ { n++; if (before !~ /^ *#/) { print FILENAME ": " $0; bad = 1 } } { before = $0 } END { exit bad || n < 10 }' "$CHART"/templates/*.yaml; }
ok "every rule has a reason" reasons
ok "users: view reads" holds default 'kind("ClusterRole") | map(select(.metadata.labels."rbac.authorization.k8s.io/aggregate-to-view")) |
    length == 1 and ([.[0].rules[].verbs[]] | unique == ["get", "list", "watch"])'
ok "users: nobody writes the status" holds default \
    'kind("ClusterRole") | map(select(.metadata.labels."rbac.authorization.k8s.io/aggregate-to-edit")) | length == 2 and ([.[].rules[] | select(.resources | any(endswith("/status"))) | .verbs[]] | unique == ["get"])'

ok "policy: in to the admin port, out to the API server and engines" holds default 'kind("NetworkPolicy")[0].spec |
    .policyTypes == ["Ingress", "Egress"]
    and (.ingress | length == 1 and (.[0].ports | map(.port) == [8080]) and (.[0].from | length == 1 and .[0].podSelector.matchLabels."app.kubernetes.io/component" == "test"))
    and (.egress | length == 3 and (.[0].ports | map(.port) == [443, 6443]) and (.[1].ports | map(.port) == [8000, 8080]) and (.[2].ports | map(.port) == [10250])
        and .[1].to[0].podSelector.matchLabels == {"app.kubernetes.io/managed-by": "deepseek-operator"}
        and .[1].to[0].podSelector.matchExpressions == [{key: "app.kubernetes.io/component", operator: "In", values: ["engine", "gateway"]}])'
ok "policy: metrics for named namespaces" holds everything 'kind("NetworkPolicy")[0].spec |
    .ingress[0].from[1].namespaceSelector.matchExpressions[0].values == ["monitoring"] and (.egress[0].ports | map(.port) == [443])'
ok "policy: can be left out" holds open 'kind("NetworkPolicy") | length == 0'
ok "monitor: only when asked for" holds default 'kind("ServiceMonitor") | length == 0'
ok "renders a monitor of gateways" render monitored --set serviceMonitor.enabled=true
ok "monitor: of gateways, wherever they are" holds monitored 'kind("PodMonitor") | length == 1 and .[0].spec.namespaceSelector.any
    and .[0].spec.selector.matchLabels."app.kubernetes.io/component" == "gateway" and .[0].spec.podMetricsEndpoints[0].port == "admin"'
ok "monitor: of no gateways where there are none" holds everything 'kind("PodMonitor") | length == 0'
ok "monitor: with its labels" holds everything 'kind("ServiceMonitor")[0] | .metadata.labels.release == "prometheus" and .spec.endpoints[0].interval == "15s"'

# --- custom resource definitions --------------------------------------------------------------------------------------

ok "the chart's definitions are those of crds/yaml" diff -r "$TOP/crds/yaml" "$CHART/crd-files"
ok "all of them are installed" holds default "kind(\"CustomResourceDefinition\") | length == $(find "$TOP/crds/yaml" -name '*.yaml' | wc -l)"
ok "definitions are kept" holds default 'kind("CustomResourceDefinition") | some(.metadata.annotations."helm.sh/resource-policy" == "keep")'
ok "definitions can be left out" holds everything 'kind("CustomResourceDefinition") | length == 0'
# same_text YAML FILE: the chart adds lines below `metadata:` to the text, and changes nothing
same_text() {
    awk '/^# Source: .*crds.yaml/ { on = 1; next } /^---$/ { on = 0 } on' "$1" |
        awk '/^metadata:$/ { print; skip = 1; next } skip && /^  name:/ { skip = 0 } !skip' | diff -B - "$2"
}
ok "the text of a definition is untouched" same_text "$WORK/default.yaml" "$CHART/crd-files/deepseekdeployments.yaml"
braces() { # braces in a description are text
    cp -r "$CHART" "$WORK/braces"
    sed -i '0,/description: Catalogue name of the model./s//description: "{{ fail `braces` }} {{ .Release.Name }} $1"/' "$WORK/braces/crd-files/deepseekdeployments.yaml"
    "$HELM" template operator "$WORK/braces" --kube-version 1.35.0 >"$WORK/braces.yaml" && grep -qF '{{ fail `braces` }} {{ .Release.Name }} $1' "$WORK/braces.yaml"
}
ok "braces in a definition are text" braces
annotated() { # two maps of annotations would silently become one
    cp -r "$CHART" "$WORK/annotated"
    sed -i 's/^metadata:$/metadata:\n  annotations: {a: b}/' "$WORK/annotated/crd-files/deepseekdeployments.yaml"
    not "$HELM" template operator "$WORK/annotated" --kube-version 1.35.0 2>"$WORK/err" && grep 'may not have annotations' "$WORK/err"
}
ok "a definition with annotations of its own is refused" annotated

# --- the schema -------------------------------------------------------------------------------------------------------

# Names of values as users write them; what is under these four is free or has a schema of its own.
names='def names(below; p): to_entries[] | .key as $k | .value | ([below] | first) as $below |
    if $below and ($k | IN("engineImages", "requests", "limits", "labels") | not) then $below | names(below; p + [$k]) else p + [$k] | join(".") end;'
in_schema() { "$JQ" -r "$names .properties | del(.global) | names(.properties; [])" "$CHART/values.schema.json" | sort; }
in_values() { to_json "$CHART/values.yaml" | "$JQ" -r "$names .[0] | names((objects | select(length > 0)) // null; [])" | sort; }
same_names() { diff <(in_schema) <(in_values) && [ "$(in_schema | wc -l)" -gt 10 ]; }
ok "values.yaml and the schema have the same names" same_names
ok "a typo at the top" refuses "'replicaCounts' not allowed" --set replicaCounts=3
ok "a typo below" refuses "'intervall' not allowed" --set canary.intervall=3
for typo in image.tags canaries.interval resources.limit.memory resources.limits.memori crds.enabled networkPolicy.enable serviceMonitor.label engineImages.Llamacpp engineImages.Custom; do
    ok "a typo: $typo" refuses "not allowed" --set $typo=x
done
ok "a wrong type" refuses "/replicas" --set-string replicas=two
ok "a number as text" refuses "/replicas" --set-string replicas=2
ok "too many replicas" refuses "/replicas" --set replicas=6
ok "a fraction" refuses "/canary/interval" --set canary.interval=1.5
ok "no seconds" refuses "/canary/timeout" --set canary.timeout=0
ok "more than the binary takes" refuses "/concurrency" --set concurrency=257
ok "no such level" refuses "/logLevel" --set logLevel=verbose
ok "no such format" refuses "/logFormat" --set logFormat=yaml
ok "a short digest" refuses "/image/digest" --set image.digest=sha256:abc
ok "a tag in the repository" refuses "/image/repository" --set image.repository=registry.example/operator:1
ok "an image with a space" refuses "/engineImages/LlamaCpp" --set 'engineImages.LlamaCpp=a b'
ok "no such policy" refuses "/image/pullPolicy" --set image.pullPolicy=Sometimes
ok "an impossible quantity" refuses "/resources/limits/memory" --set resources.limits.memory=256MB
ok "a secret that is no name" refuses "/imagePullSecrets/0" --set 'imagePullSecrets[0]=Not_A_Name'
ok "a switch that is text" refuses "/crds/install" --set-string crds.install=no
ok "no port" refuses "/networkPolicy/apiServerPorts/0" --set 'networkPolicy.apiServerPorts[0]=0'
ok "no ports" refuses "/networkPolicy/apiServerPorts" --set-json 'networkPolicy.apiServerPorts=[]'
ok "a toleration's typo" refuses "not allowed" --set 'tolerations[0].efect=NoSchedule'
ok "a label that is a number" refuses "/nodeSelector/pool" --set nodeSelector.pool=1
ok "as part of another chart" template --set global.registry=x

# --- what is said -----------------------------------------------------------------------------------------------------

documented() { while read -r name; do grep -F "| \`$name\` |" "$CHART/README.md" || { echo "not there: $name"; return 1; }; done < <(in_values); }
ok "the README names every value" documented
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$TOP/Cargo.toml" | head -n 1)
ok "the version is the workspace's" grep -qx "version: $version" "$CHART/Chart.yaml"
ok "so is the operator's" grep -qx "appVersion: $version" "$CHART/Chart.yaml"

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
