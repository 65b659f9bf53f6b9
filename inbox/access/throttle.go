package access

import (
	"crypto/sha256"
	"net/netip"
	"strings"
	"time"

	"parley/events"
)

// After so many failures each further one makes the account, or the address,
// wait. An office behind one address may mistype more often than one person.
const (
	freeAccount = 5
	freeAddress = 30
)

// Waits after the free failures: doubled with each, up to the longest. An
// account is never locked for good, or anybody could lock out anybody.
const (
	firstWait   = 2 * time.Second
	longestWait = 15 * time.Minute
)

// AccountDelay is how long an account waits after so many failures.
func AccountDelay(failures int) time.Duration { return delay(failures - freeAccount) }

// AddressDelay is how long an address waits after so many failures.
func AddressDelay(failures int) time.Duration { return delay(failures - freeAddress) }

func delay(over int) time.Duration {
	if over < 0 {
		return 0
	}
	wait := firstWait
	for range over {
		if wait *= 2; wait >= longestWait {
			return longestWait
		}
	}
	return wait
}

// AccountKey is what failures of an account are counted under, whether or not
// there is one.
func AccountKey(tenant events.TenantID, email string) [32]byte {
	return sha256.Sum256([]byte("account\x00" + string(tenant) + "\x00" + strings.ToLower(strings.TrimSpace(email))))
}

// AddressKey is what failures from an address are counted under. Who has an IPv6
// address has 2^64 of them, so the network counts.
func AddressKey(address string) [32]byte {
	if ip, err := netip.ParseAddr(address); err == nil {
		ip = ip.Unmap().WithZone("")
		if ip.Is6() {
			if net, err := ip.Prefix(64); err == nil {
				return sha256.Sum256([]byte("address\x00" + net.String()))
			}
		}
		address = ip.String()
	}
	return sha256.Sum256([]byte("address\x00" + address))
}
