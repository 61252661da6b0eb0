//! A store that moves from SQLite to a PostgreSQL server which proves who it is, and the daemon
//! that goes on there.

use nix::sys::signal::Signal;
use rcgen::CertifiedKey;
use scratch_postgresql::Server;

use crate::support::{Place, api};

const GOOD: &str = r#"{"amount":"12.34","currency":"EUR"}"#;
const NAME: &str = "localhost";

#[test]
fn a_store_moves_over_tls_and_the_daemon_goes_on_there() {
    let place = Place::new();
    let mut old = place.start();
    let location = old.post(GOOD).header("location").unwrap().to_owned();
    let before = old.get(&location).text;
    old.signal(Signal::SIGTERM);
    old.exit_status();

    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let authority = place.directory.path().join("authority.pem");
    std::fs::write(&authority, cert.pem()).unwrap();
    let server = Server::start_with_tls(&cert.pem(), &signing_key.serialize_pem());
    let port = server.port();
    let database = format!("postgresql://postgres@{NAME}:{port}/postgres");
    let trusted = format!(
        "{database}?sslmode=verify-full&sslrootcert={}",
        authority.display()
    );

    let said = migrate(&place, &trusted);
    assert!(said.contains("moved: "), "{said}");
    assert!(said.contains(&trusted), "what to configure now: {said}");
    assert!(migrate(&place, &trusted).contains("moved before"));

    place.configure_store(&trusted, "");
    let new = place.start();
    assert_eq!(new.get(&location).text, before);
    assert_eq!(new.post(GOOD).status, 201);
    assert!(is_encrypted(&server), "to the database");
}

fn migrate(place: &Place, to: &str) -> String {
    let from = format!("sqlite:{}", place.store().display());
    let output = api()
        .args(["migrate", "--from", &from, "--to", to])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether every connection over the network is, and there is one.
fn is_encrypted(server: &Server) -> bool {
    let ask = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
               WHERE client_addr IS NOT NULL";
    server.sql("postgres", ask).trim() == "t"
}
