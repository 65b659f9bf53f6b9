package main

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

// serveFlags are the flags of what runs a server.
type serveFlags struct {
	cfg     Config
	roles   string
	logs    string
	levels  string
	debug   bool
	busRoom string
	// databaseURL, natsURL and alertSMTP are what the environment says.
	databaseURL, natsURL, alertSMTP string
}

// add registers the flags; each that makes sense for containers has an
// environment variable, which the flag outranks.
func (f *serveFlags) add(cmd *cobra.Command, listen string) {
	env := func(name, fallback string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return fallback
	}
	flags := cmd.Flags()
	flags.StringVar(&f.cfg.Listen, "listen", env("PARLEY_LISTEN", listen), "address of webhooks and health checks (PARLEY_LISTEN)")
	flags.StringVar(&f.cfg.MetricsListen, "metrics-listen", env("PARLEY_METRICS_LISTEN", ""), "address of the metrics, if not --listen (PARLEY_METRICS_LISTEN)")
	f.addStorage(cmd)
	flags.StringVar(&f.cfg.PublicURL, "public-url", env("PARLEY_PUBLIC_URL", ""), "where providers reach this server, such as https://inbox.example.com (PARLEY_PUBLIC_URL)")
	flags.BoolVar(&f.cfg.PrivateWebhooks, "private-webhooks", os.Getenv("PARLEY_PRIVATE_WEBHOOKS") == "true", "let tenants' webhooks be called at addresses that are not public, and by plain http (PARLEY_PRIVATE_WEBHOOKS=true)")
	// Not as a default: the help would show the password in it.
	f.alertSMTP = os.Getenv("PARLEY_ALERT_SMTP")
	flags.StringVar(&f.cfg.AlertSMTP, "alert-smtp", "", "mail server for alerts to agents: smtp://user:password@host:587?from=inbox@example.com, smtps:// for TLS from the start (PARLEY_ALERT_SMTP, which keeps the password out of the process list)")
	flags.StringVar(&f.logs, "log-format", env("PARLEY_LOG_FORMAT", "text"), "text or json (PARLEY_LOG_FORMAT)")
	flags.StringVar(&f.levels, "log-level", env("PARLEY_LOG_LEVEL", "info"), "debug, info, warn or error, also by component, as in warn,router=debug; components: "+strings.Join(components, ", ")+" (PARLEY_LOG_LEVEL)")
	flags.BoolVar(&f.debug, "debug", false, "log all there is, whatever --log-level says")
}

func (f *serveFlags) addExternal(cmd *cobra.Command) {
	flags := cmd.Flags()
	// Not as defaults: the help would show the passwords in them.
	f.databaseURL, f.natsURL = os.Getenv("PARLEY_DATABASE_URL"), os.Getenv("PARLEY_NATS_URL")
	flags.StringVar(&f.cfg.DatabaseURL, "database-url", "",
		"PostgreSQL 15 or later, instead of a private one in the data folder (PARLEY_DATABASE_URL, which keeps a password out of the process list)")
	flags.StringVar(&f.cfg.NATSURL, "nats-url", "",
		"NATS 2.15 or later with JetStream, instead of one inside this process (PARLEY_NATS_URL)")
	flags.IntVar(&f.cfg.NATSReplicas, "nats-replicas", 0,
		"how many servers of a NATS cluster keep each stream: 1, 3 or 5 (PARLEY_NATS_REPLICAS; default: new streams 1, others stay as they are)")
	flags.IntVar(&f.cfg.Partitions, "partitions", 0, "how many inbound streams a new NATS gets, fixed afterwards (default: as many as processors, 2 to 16, when embedded, else 4)")
}

// addStorage registers where files are, and what seals secrets.
func (f *serveFlags) addStorage(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.cfg.BlobURL, "blob-url", os.Getenv("PARLEY_BLOB_URL"), "where files and large payloads are kept: file:///folder or s3://bucket/prefix?endpoint=https://…; with an external NATS or database all processes must share it (PARLEY_BLOB_URL; default a folder in the data folder)")
	f.addKeys(cmd)
}

// addKeys registers what seals secrets.
func (f *serveFlags) addKeys(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.cfg.SecretKeyFile, "secret-key-file", os.Getenv("PARLEY_SECRET_KEY_FILE"), "file with the secret keys, one a line, of which the first seals; changes are taken up while the server runs (PARLEY_SECRET_KEY_FILE)")
}

// addShared registers what a server has and a doctor looks at, too.
func (f *serveFlags) addShared(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.roles, "roles", strings.Join(allRoles, ","), "what this process does")
	cmd.Flags().StringVar(&f.cfg.APIListen, "api-listen", cmp.Or(os.Getenv("PARLEY_API_LISTEN"), "127.0.0.1:8081"), "address of the API for people and programs; empty for none (PARLEY_API_LISTEN)")
	cmd.Flags().StringVar(&f.cfg.TrustedProxies, "trusted-proxies", os.Getenv("PARLEY_TRUSTED_PROXIES"),
		"networks of the proxies in front of the API, such as 10.0.0.0/8,192.0.2.7: X-Forwarded-For and Forwarded are believed from nobody else (PARLEY_TRUSTED_PROXIES)")
}

// config is the server's configuration after parsing.
func (f *serveFlags) config(cmd *cobra.Command, a *app, dataDir string) (Config, error) {
	cfg := f.cfg
	cfg.DataDir = a.dataDir
	if cfg.DataDir == "" {
		cfg.DataDir = dataDir
	}
	if cfg.DatabaseURL == "" {
		cfg.DatabaseURL = f.databaseURL
	}
	if cfg.NATSURL == "" {
		cfg.NATSURL = f.natsURL
	}
	if cfg.AlertSMTP == "" {
		cfg.AlertSMTP = f.alertSMTP
	}
	if text := os.Getenv("PARLEY_NATS_REPLICAS"); text != "" && !cmd.Flags().Changed("nats-replicas") {
		var err error
		if cfg.NATSReplicas, err = strconv.Atoi(text); err != nil {
			return cfg, &usageError{cmd, fmt.Errorf("PARLEY_NATS_REPLICAS: %w", err)}
		}
	}
	cfg.Version = version
	// Not a flag: the process list shows flags to everybody.
	cfg.SecretKey = os.Getenv("PARLEY_SECRET_KEY")
	var err error
	if f.roles != "" {
		if cfg.Roles, err = parseRoles(f.roles); err != nil {
			return cfg, &usageError{cmd, err}
		}
	}
	cfg.Logger, err = newLogger(cmd.ErrOrStderr(), f.logs, f.logLevel())
	if err != nil {
		return cfg, &usageError{cmd, err}
	}
	return cfg, nil
}

// logLevel is what to log.
func (f *serveFlags) logLevel() string {
	if f.debug {
		return "debug"
	}
	return f.levels
}

func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	levels, err := parseLevels(level)
	if err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: slog.LevelDebug} // leveled decides
	switch format {
	case "json":
		return slog.New(newLeveled(slog.NewJSONHandler(w, opts), levels)), nil
	case "text":
		return slog.New(newLeveled(slog.NewTextHandler(w, opts), levels)), nil
	}
	return nil, errorf("there is no log format %q; use text or json", format)
}

// durationOr is a duration flag's value, or else the environment's.
func durationOr(cmd *cobra.Command, name, env string, flag time.Duration) (time.Duration, error) {
	text := os.Getenv(env)
	if text == "" || cmd.Flags().Changed(name) {
		return flag, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", env, err)
	}
	return d, nil
}

// drainDelay is the flag's value, or else the environment's.
func drainDelay(cmd *cobra.Command, flag time.Duration) (time.Duration, error) {
	flag, err := durationOr(cmd, "drain-delay", "PARLEY_DRAIN_DELAY", flag)
	if err == nil && (flag < 0 || flag > time.Minute) {
		err = fmt.Errorf("a drain delay of %s is not between 0 and 1m", flag)
	}
	return flag, err
}

func (f *serveFlags) addBusRoom(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.busRoom, "bus-room", os.Getenv("PARLEY_BUS_ROOM"),
		"how much the bus may hold of what was accepted, such as 8GiB; when that is full it refuses, and providers come again (PARLEY_BUS_ROOM; default 32GiB, embedded at most a quarter of the disk; the same for all processes)")
}

// leastBusRoom is enough for an hour of a small business.
const leastBusRoom = 64 << 20

// busRoom reads a size such as 8GiB, empty for the default.
func busRoom(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil {
		return 0, fmt.Errorf("a bus room of %q is no size such as 8GiB", text)
	}
	if n < leastBusRoom || n > 1<<50 {
		return 0, fmt.Errorf("a bus room of %s is not between 64MiB and 1PiB", text)
	}
	return int64(n), nil
}

// busRetention is the flag's value, or else the environment's.
func busRetention(cmd *cobra.Command, flag time.Duration) (time.Duration, error) {
	flag, err := durationOr(cmd, "bus-retention", "PARLEY_BUS_RETENTION", flag)
	if err == nil && flag < time.Hour {
		err = fmt.Errorf("a bus retention of %s is less than an hour", flag)
	}
	return flag, err
}

// sendDeadline is the flag's value, or else the environment's.
func sendDeadline(cmd *cobra.Command, flag time.Duration) (time.Duration, error) {
	flag, err := durationOr(cmd, "send-deadline", "PARLEY_SEND_DEADLINE", flag)
	if err != nil {
		return 0, err
	}
	if flag < time.Second {
		return 0, fmt.Errorf("a send deadline of %s is too short; give providers at least 1s", flag)
	}
	return flag, nil
}

// collectLessOften lets the heap grow to five times what is in use, a few ten MB
// here, before it is cleaned: with the runtime's own two times the collector
// took a tenth of the processor while sending. GOGC and GOMEMLIMIT rule as ever.
func collectLessOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

func serveCmd(a *app) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Runs the server until it is interrupted. Without --database-url it runs a private PostgreSQL,
and without --nats-url a NATS server inside this process, both in the data folder.

With an external database it needs a secret key, which seals the channels' credentials:
--secret-key-file, or the key itself in PARLEY_SECRET_KEY.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.config(cmd, a, defaultDataDir())
			if err != nil {
				return err
			}
			cfg.Notice = cmd.OutOrStdout()
			cfg.OIDC.ClientSecret = os.Getenv("PARLEY_OIDC_CLIENT_SECRET") // not a flag: the process list shows flags to everybody
			if cfg.SendDeadline, err = sendDeadline(cmd, cfg.SendDeadline); err != nil {
				return &usageError{cmd, err}
			}
			if cfg.DrainDelay, err = drainDelay(cmd, cfg.DrainDelay); err != nil {
				return &usageError{cmd, err}
			}
			if cfg.BusRoom, err = busRoom(f.busRoom); err != nil {
				return &usageError{cmd, err}
			}
			if cfg.BusRetention, err = busRetention(cmd, cfg.BusRetention); err != nil {
				return &usageError{cmd, err}
			}
			if cfg.Traces, err = openTraces(cmd.Context(), cfg.Version, cfg.Logger); err != nil {
				return &usageError{cmd, err}
			}
			collectLessOften()
			return Run(cmd.Context(), cfg)
		},
	}
	f.add(cmd, "127.0.0.1:8080")
	f.addExternal(cmd)
	f.addShared(cmd)
	cmd.Flags().DurationVar(&f.cfg.SendDeadline, "send-deadline", 20*time.Second,
		"how long a provider may take to answer a send; a process that died keeps its channels for half as long again (PARLEY_SEND_DEADLINE)")
	cmd.Flags().StringVar(&f.cfg.APIURL, "api-url", os.Getenv("PARLEY_API_URL"), "where people reach the API, such as https://inbox.example.com (PARLEY_API_URL; default http:// and --api-listen)")
	cmd.Flags().Float64Var(&f.cfg.RateLimit, "rate-limit", 50, "how many API requests a second each user and each token may make, and four times as many at once; 0 for any number")
	cmd.Flags().StringVar(&f.cfg.OIDC.Issuer, "oidc-issuer", os.Getenv("PARLEY_OIDC_ISSUER"), "URL of the OpenID Connect provider that people may sign in by (PARLEY_OIDC_ISSUER)")
	cmd.Flags().StringVar(&f.cfg.OIDC.ClientID, "oidc-client-id", os.Getenv("PARLEY_OIDC_CLIENT_ID"), "who Parley is there; the secret is read from PARLEY_OIDC_CLIENT_SECRET (PARLEY_OIDC_CLIENT_ID)")
	cmd.Flags().StringVar(&f.cfg.OIDC.Domain, "oidc-domain", os.Getenv("PARLEY_OIDC_DOMAIN"), "let in only whose verified address is of this domain (PARLEY_OIDC_DOMAIN)")
	cmd.Flags().DurationVar(&f.cfg.DrainDelay, "drain-delay", 0,
		"how long to go on as before after being asked to stop, while /readyz says so, until load balancers have noticed (PARLEY_DRAIN_DELAY)")
	f.addBusRoom(cmd)
	cmd.Flags().DurationVar(&f.cfg.BusRetention, "bus-retention", 7*24*time.Hour,
		"how long the bus keeps what was accepted once it is stored, to make an older backup of the database whole, and facts for programs that follow (PARLEY_BUS_RETENTION; at most 168h for facts)")
	cmd.Flags().BoolVar(&f.cfg.NoMigrate, "no-migrate", false, "do not change the database's schema; wait until somebody has")
	return cmd
}
