package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parley/inbox/api"
)

func statusCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say what runs, where, and what is missing",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return answer(a, cmd, http.MethodGet, "/status", nil, nil, printStatus)
		},
	}
}

func printStatus(out io.Writer, s api.Status) error {
	ready := "ready"
	if !s.Ready {
		ready = "not ready: " + strings.Join(s.Missing, " ")
	}
	_, _ = fmt.Fprintf(out, "Parley %s, started %s: %s\n", s.Version, when(s.Since, time.Now()), ready)
	t := &table{}
	t.add("  roles", strings.Join(s.Roles, ", "))
	for _, name := range slices.Sorted(maps.Keys(s.Places)) {
		t.add("  "+name, s.Places[name])
	}
	return t.print(out)
}

func versionCmd(*app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "parley %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
