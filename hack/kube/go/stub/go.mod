module portcullis.dev/hack/kube/stub

go 1.26
