package main

import (
	"math"
	"time"
)

// trend is a line fitted to samples by least squares.
type trend struct {
	mean, slope float64
	// doubt is the slope's standard error.
	doubt float64
	// length is what the samples span; the slope is per second.
	length time.Duration
}

// fit fits a line to values at times.
func fit(at []time.Duration, values []float64) trend {
	n := float64(len(at))
	if len(at) < 3 {
		return trend{}
	}
	var meanX, meanY float64
	for i := range at {
		meanX += at[i].Seconds() / n
		meanY += values[i] / n
	}
	var xx, xy float64
	for i := range at {
		dx := at[i].Seconds() - meanX
		xx += dx * dx
		xy += dx * (values[i] - meanY)
	}
	t := trend{mean: meanY, length: at[len(at)-1] - at[0]}
	if xx == 0 {
		return t
	}
	t.slope = xy / xx
	var rest float64
	for i := range at {
		d := values[i] - meanY - t.slope*(at[i].Seconds()-meanX)
		rest += d * d
	}
	t.doubt = math.Sqrt(rest / (n - 2) / xx)
	return t
}

// growth is what the line rises by over what was sampled.
func (t trend) growth() float64 { return t.slope * t.length.Seconds() }

// flat reports whether the line rises by no more than a share of the mean or an
// allowance, or by no more than twice what chance explains.
func (t trend) flat(share, allowance float64) bool {
	rise := t.growth()
	return rise <= max(share*t.mean, allowance) || rise <= 2*t.doubt*t.length.Seconds()
}
