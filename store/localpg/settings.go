package localpg

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// clusterFiles are the configuration files that initdb's are replaced by. An operating
// system user who could read the data files anyway may log in as the superuser.
func clusterFiles(osUser string) map[string]string {
	ident := "# map     system user   role\n"
	for _, name := range []string{osUser, "root"} {
		if name != "" {
			ident += fmt.Sprintf("parley   %q   %s\n", name, superuser)
		}
	}
	return map[string]string{
		"postgresql.conf": postgresqlConf,
		"parley.conf":     parleyConf(nil), // written anew at every start
		"pg_hba.conf":     pgHBA,
		"pg_ident.conf":   ident,
	}
}

const postgresqlConf = `# Parley's own settings, written anew at every start: change nothing there.
include 'parley.conf'

# Yours go below and win over Parley's, except for where the server listens and for
# fsync and full_page_writes, without which what was accepted could be lost.
`

const pgHBA = `# TYPE  DATABASE     USER      METHOD
local   all          postgres  peer map=parley
local   replication  postgres  peer map=parley
local   all          all       scram-sha-256
`

// parleyConf are Parley's defaults, for a machine it shares with the rest of Parley.
func parleyConf(extra map[string]string) string {
	var b strings.Builder
	b.WriteString(baseConf)
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		fmt.Fprintf(&b, "%s = '%s'\n", name, strings.ReplaceAll(extra[name], "'", "''"))
	}
	return b.String()
}

const baseConf = `# Written by Parley at every start. Put your own settings into postgresql.conf.

# Clients
max_connections = 100
password_encryption = 'scram-sha-256'
unix_socket_permissions = 0700

# Memory
shared_buffers = '256MB'
# In files of the data folder: POSIX shared memory is limited to 64 MB in containers, is
# cleared by systemd when its user logs out (RemoveIPC), and stays behind after a kill.
dynamic_shared_memory_type = 'mmap'
effective_cache_size = '1GB'
maintenance_work_mem = '64MB'

# Write-ahead log: fewer checkpoints mean fewer full-page images
wal_compression = on
max_wal_size = '2GB'
min_wal_size = '128MB'
checkpoint_timeout = '15min'

# Plans: short statements on solid-state disks. Compiling them, or sharing them out to
# parallel workers, costs more than running them.
jit = off
random_page_cost = 1.1
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 0

# Text, the same on every machine
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
datestyle = 'iso, ymd'
default_text_search_config = 'pg_catalog.simple'

# Log: no parameters and no DETAIL, which would quote what clients wrote
log_destination = 'stderr'
log_line_prefix = '%m [%p] %q%u@%d '
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_checkpoints = off
log_lock_waits = on
log_min_duration_statement = '2s'
`
