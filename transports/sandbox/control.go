package sandbox

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// maxControl bounds the body of a control request in bytes; files travel in it
// as base64.
const maxControl = 32 << 20

// handleFaults shows and replaces the faults in force.
func handleFaults[F interface{ check() error }](mux *http.ServeMux, inForce func() F, set func(F)) {
	mux.HandleFunc("GET /sandbox/faults", func(w http.ResponseWriter, _ *http.Request) { reply(w, inForce()) })
	mux.HandleFunc("POST /sandbox/faults", func(w http.ResponseWriter, r *http.Request) {
		body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl))
		body.DisallowUnknownFields() // a fault misspelt would not strike
		var f F
		err := body.Decode(&f)
		if err == nil {
			err = f.check()
		}
		if err != nil {
			refuse(w, err)
			return
		}
		set(f)
		reply(w, inForce())
	})
}

// handleLog hands out a log, one JSON object per line.
func handleLog[E any](mux *http.ServeMux, since func(seq int64) []E) {
	mux.HandleFunc("GET /sandbox/log", func(w http.ResponseWriter, r *http.Request) {
		after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
		w.Header().Set("Content-Type", "application/jsonl")
		out := json.NewEncoder(w)
		for _, e := range since(after) {
			if out.Encode(e) != nil {
				return
			}
		}
	})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}
