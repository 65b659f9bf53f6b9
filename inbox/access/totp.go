package access

import (
	"crypto/subtle"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// The parameters that every authenticator app knows (RFC 6238, section 4 and the
// key URI format, https://github.com/google/google-authenticator/wiki/Key-Uri-Format).
const (
	totpPeriod = 30 // seconds
	totpSkew   = 1  // steps that a clock may be off
)

func totpOpts() totp.ValidateOpts {
	return totp.ValidateOpts{Period: totpPeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}
}

// NewTOTP makes a second factor's secret, in base32, and the otpauth URL that a
// phone's app reads as a QR code.
func NewTOTP(account string) (secret, url string, err error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: "Parley", AccountName: account, SecretSize: 20, Period: totpPeriod})
	if err != nil {
		return "", "", err
	}
	return key.Secret(), key.URL(), nil
}

// CheckTOTP returns the time step that a code is right for, which must be later
// than the last one that was used: each code works once. Ok is false when the
// code is wrong.
func CheckTOTP(secret, code string, now time.Time, lastStep int64) (step int64, ok bool) {
	current := now.Unix() / totpPeriod
	for s := current - totpSkew; s <= current+totpSkew; s++ {
		want, err := totp.GenerateCodeCustom(secret, time.Unix(s*totpPeriod, 0), totpOpts())
		if err != nil {
			return 0, false
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && s > lastStep {
			step, ok = s, true
		}
	}
	return step, ok
}
