// Go's net/http with promhttp's instrumentation, and one transaction from SQLite.
// go_server ADDRESS DATABASE
package main

import (
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type transaction struct {
	ID        string  `json:"id"`
	Amount    string  `json:"amount"`
	Currency  string  `json:"currency"`
	Status    string  `json:"status"`
	CreatedAt string  `json:"created_at"`
	SettledAt *string `json:"settled_at,omitempty"`
}

func main() {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total", Help: "Requests answered."}, []string{"method", "code"})
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "From head to answer."}, []string{"method"})
	prometheus.MustRegister(requests, durations)
	instrumented := func(handler http.HandlerFunc) http.Handler {
		return promhttp.InstrumentHandlerDuration(durations, promhttp.InstrumentHandlerCounter(requests, handler))
	}
	database, err := sql.Open("sqlite3", "file:"+os.Args[2]+"?mode=rw&_query_only=true")
	if err != nil {
		log.Fatal(err)
	}
	// As many as the API has readers.
	database.SetMaxOpenConns(4)
	database.SetMaxIdleConns(4)
	one, err := database.Prepare("SELECT amount_minor, currency, status, created_at_ms, settled_at_ms FROM transactions WHERE id = ?")
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/metrics", promhttp.Handler())
	http.Handle("/health", instrumented(func(answer http.ResponseWriter, _ *http.Request) {
		answer.Header().Set("Content-Type", "application/json")
		json.NewEncoder(answer).Encode(map[string]string{"status": "ok"})
	}))
	http.Handle("/transactions/", instrumented(func(answer http.ResponseWriter, request *http.Request) {
		show(answer, one, strings.TrimPrefix(request.URL.Path, "/transactions/"))
	}))
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}

func show(answer http.ResponseWriter, one *sql.Stmt, id string) {
	key, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil || len(key) != 16 {
		http.Error(answer, "not an id", http.StatusBadRequest)
		return
	}
	found := transaction{ID: id}
	var minor, created int64
	var settled sql.NullInt64
	err = one.QueryRow(key).Scan(&minor, &found.Currency, &found.Status, &created, &settled)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusNotFound)
		return
	}
	found.Amount = strconv.FormatFloat(float64(minor)/100, 'f', 2, 64)
	found.CreatedAt = time.UnixMilli(created).UTC().Format(time.RFC3339Nano)
	if settled.Valid {
		at := time.UnixMilli(settled.Int64).UTC().Format(time.RFC3339Nano)
		found.SettledAt = &at
	}
	answer.Header().Set("Content-Type", "application/json")
	json.NewEncoder(answer).Encode(found)
}
