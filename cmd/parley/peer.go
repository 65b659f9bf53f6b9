package main

import (
	"context"
	"net"
	"os/user"
	"strconv"

	"parley/inbox/api"
)

// fromPeer tells, of a connection to the operator's socket, whose it is: the
// kernel says so, and nobody can claim to be another.
func fromPeer(ctx context.Context, conn net.Conn) context.Context {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	uid, ok := peerUID(c)
	if !ok {
		return ctx
	}
	id := strconv.FormatUint(uint64(uid), 10)
	name := "user " + id
	if u, err := user.LookupId(id); err == nil {
		name = u.Username
	}
	return api.ByOperator(ctx, id, name)
}
