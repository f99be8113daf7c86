// CoreDNS with only the plugins a test cluster uses, which keeps the build to a fraction of the stock
// one with its cloud providers' libraries.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() {
	// The order in which the plugins of a server block are chained.
	dnsserver.Directives = []string{"health", "ready", "errors", "log", "cache", "kubernetes", "forward"}
	coremain.Run()
}
