# shellcheck shell=bash
# Keys, certificates and kubeconfigs of a cluster, in $PKI and $D. Sourced by lab; cluster_env comes first.

new_ca() { # FILE COMMON-NAME
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=$2" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature \
        -keyout "$PKI/$1.key" -out "$PKI/$1.crt" 2>/dev/null
}
new_cert() { # FILE CA SUBJECT serverAuth|clientAuth [ALTERNATIVE-NAMES]
    local f=$PKI/$1
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$3" -keyout "$f.key" -out "$f.csr" 2>/dev/null
    {
        printf 'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\n' "$4"
        [ -z "${5:-}" ] || printf 'subjectAltName=%s\n' "$5"
    } >"$f.ext"
    openssl x509 -req -in "$f.csr" -CA "$PKI/$2.crt" -CAkey "$PKI/$2.key" -set_serial "0x$(openssl rand -hex 8)" \
        -days 3650 -extfile "$f.ext" -out "$f.crt" 2>/dev/null
    rm "$f.csr" "$f.ext"
}
new_kubeconfig() { # FILE CERTIFICATE ADDRESS
    local f=$PKI/$2
    cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: $CLUSTER, cluster: {server: "https://$3:$API_PORT", certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")}}]
users: [{name: $CLUSTER, user: {client-certificate-data: $(base64 -w0 "$f.crt"), client-key-data: $(base64 -w0 "$f.key")}}]
contexts: [{name: $CLUSTER, context: {cluster: $CLUSTER, user: $CLUSTER}}]
current-context: $CLUSTER
YAML
}

cluster_keys() {
    local s=kubernetes.default.svc user
    [ ! -f "$PKI/done" ] || return 0
    mkdir -p "$PKI"
    new_ca ca "lab-$CLUSTER"
    new_ca front-proxy-ca "lab-$CLUSTER-front-proxy"
    new_cert apiserver ca /CN=kube-apiserver serverAuth \
        "DNS:kubernetes,DNS:kubernetes.default,DNS:$s,DNS:$s.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$HOST_IP,IP:${SERVICE_CIDR%.0/16}.1"
    new_cert apiserver-kubelet ca /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
    new_cert front-proxy front-proxy-ca /CN=front-proxy-client clientAuth
    # One user per component, so that the audit log tells them apart.
    new_cert admin ca /O=system:masters/CN=admin clientAuth
    new_cert lab ca /O=system:masters/CN=lab clientAuth
    new_cert kwok ca /O=system:masters/CN=kwok clientAuth
    new_cert dns ca /O=system:masters/CN=dns clientAuth
    new_cert controllers ca /CN=system:kube-controller-manager clientAuth
    new_cert scheduler ca /CN=system:kube-scheduler clientAuth
    new_cert proxy ca /CN=system:kube-proxy clientAuth
    openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/sa.key"
    openssl ec -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub" 2>/dev/null
    for user in admin lab kwok dns controllers scheduler; do
        new_kubeconfig "$D/$user.kubeconfig" "$user" 127.0.0.1
    done
    new_kubeconfig "$D/proxy.kubeconfig" proxy "$HOST_IP"
    touch "$PKI/done"
}
node_keys() {
    [ ! -f "$D/kubelet-$NODE.kubeconfig" ] || return 0
    new_cert "kubelet-$NODE" ca "/O=system:nodes/CN=system:node:$NODE" clientAuth
    new_cert "kubelet-$NODE-serving" ca "/CN=$NODE" serverAuth "DNS:$NODE,IP:$NODE_IP"
    new_kubeconfig "$D/kubelet-$NODE.kubeconfig" "kubelet-$NODE" "$HOST_IP"
}
