package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Whom a NATS cluster lets in: nobody but this run knows where it is.
const nodeUser, nodePassword = "parley", "bench"

// nodeCommand is one server of a NATS cluster until it is told to end.
func nodeCommand(ctx context.Context, args []string, _ io.Writer) error {
	f := flag.NewFlagSet("parley-bench node", flag.ContinueOnError)
	o := natsserver.Options{
		Host: "127.0.0.1", Username: nodeUser, Password: nodePassword,
		JetStream: true, SyncAlways: true, MaxPayload: 4 << 20, JetStreamMaxStore: 64 << 30, JetStreamMaxMemory: 64 << 20,
		NoSigs: true, LogFile: "/dev/stderr", Logtime: true,
		// Nobody is told of the others' addresses, but goes through the cables it was given.
		Cluster: natsserver.ClusterOpts{Name: "parley", Host: "127.0.0.1", NoAdvertise: true},
	}
	var routes string
	f.StringVar(&o.ServerName, "name", "", "of this server")
	f.StringVar(&o.StoreDir, "dir", "", "the folder of its store")
	f.IntVar(&o.Port, "port", 0, "for clients, on the loopback")
	f.IntVar(&o.Cluster.Port, "cluster-port", 0, "for the other servers")
	f.StringVar(&routes, "routes", "", "all servers' addresses for each other, separated by commas")
	if err := f.Parse(args); err != nil {
		return err
	}
	for _, addr := range strings.Split(routes, ",") {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: addr})
	}
	srv, err := natsserver.NewServer(&o)
	if err != nil {
		return err
	}
	srv.ConfigureLogger()
	srv.Start()
	<-ctx.Done()
	srv.Shutdown()
	srv.WaitForShutdown()
	return nil
}

// natsNode is that process.
type natsNode struct {
	*process
	dir, name, addr string
	args            []string
}

// start starts it, again after it ended.
func (n *natsNode) start() (err error) {
	n.process, err = startSelf(n.dir, n.name, append([]string{"node"}, n.args...)...)
	return err
}

// natsCluster are the servers that keep each other's streams.
type natsCluster struct {
	nodes []*natsNode
}

// url leads to all servers, past the cables.
func (c *natsCluster) url() string {
	var all []string
	for _, n := range c.nodes {
		all = append(all, nodeURL(n.addr))
	}
	return strings.Join(all, ",")
}

func nodeURL(addr string) string {
	return (&url.URL{Scheme: "nats", Host: addr, User: url.UserPassword(nodeUser, nodePassword)}).String()
}

// startNATSCluster starts as many servers as there are folders for their stores.
func startNATSCluster(ctx context.Context, dir string, stores []string) (*natsCluster, error) {
	c := &natsCluster{}
	var routes []string
	for range stores {
		addr, err := freeAddr(ctx)
		if err != nil {
			return nil, err
		}
		routes = append(routes, addr)
	}
	for i, store := range stores {
		addr, err := freeAddr(ctx)
		if err != nil {
			return nil, err
		}
		_, port, err1 := net.SplitHostPort(addr)
		_, clusterPort, err2 := net.SplitHostPort(routes[i])
		n := &natsNode{dir: dir, name: "nats-" + strconv.Itoa(i+1), addr: addr}
		n.args = []string{"-name", n.name, "-dir", filepath.Join(store, "jetstream"), "-port", port, "-cluster-port", clusterPort, "-routes", strings.Join(routes, ",")}
		if err := errors.Join(err1, err2, n.start()); err != nil {
			c.stop()
			return nil, err
		}
		c.nodes = append(c.nodes, n)
	}
	if err := c.whole(ctx); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *natsCluster) stop() {
	for _, n := range c.nodes {
		n.stop()
	}
}

// ask connects past the cables, and asks about JetStream.
func (c *natsCluster) ask(ctx context.Context, f func(ctx context.Context, js natsjs.JetStream) error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	nc, err := nats.Connect(c.url(), nats.Timeout(2*time.Second), nats.NoReconnect())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := natsjs.New(nc)
	if err != nil {
		return err
	}
	return f(ctx, js)
}

// whole waits until every server has all that the others have.
func (c *natsCluster) whole(ctx context.Context) error {
	return until(ctx, 2*time.Minute, "the NATS cluster to be whole", func() (bool, error) {
		for _, n := range c.nodes {
			if !n.running() {
				return false, n.ended()
			}
		}
		err := c.ask(ctx, func(ctx context.Context, js natsjs.JetStream) error {
			if _, err := js.AccountInfo(ctx); err != nil {
				return err
			}
			streams := js.ListStreams(ctx)
			for info := range streams.Info() {
				if info.Config.Replicas != len(c.nodes) {
					return fmt.Errorf("%s has %d replicas", info.Config.Name, info.Config.Replicas)
				}
				if info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != len(c.nodes)-1 {
					return fmt.Errorf("%s has no leader or lacks servers", info.Config.Name)
				}
				for _, r := range info.Cluster.Replicas {
					if !r.Current || r.Offline {
						return fmt.Errorf("%s is behind on %s", info.Config.Name, r.Name)
					}
				}
			}
			return streams.Err()
		})
		return err == nil, err
	})
}

// leader is the server that leads a stream.
func (c *natsCluster) leader(ctx context.Context, stream string) (leader *natsNode, err error) {
	err = c.ask(ctx, func(ctx context.Context, js natsjs.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		for _, n := range c.nodes {
			if info := s.CachedInfo(); info.Cluster != nil && info.Cluster.Leader == n.name {
				leader = n
				return nil
			}
		}
		return fmt.Errorf("nobody leads %s", stream)
	})
	return leader, err
}
