//! What a store makes durable when nothing but the store is asked. `store-inserts STORE SECONDS`
//!
//! Prints the inserts a second, each acknowledged after its commit.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use transactions::store::{Store, StoreError, StoreHooks, StoreLocation};
use transactions::{Amount, NewTransaction};

/// Two groups of the PostgreSQL store: one is on its way while the next gathers.
const WRITERS: usize = 2_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(location), Some(seconds)) = (words.next(), words.next()) else {
        return Err("store-inserts STORE SECONDS".into());
    };
    let location: StoreLocation = location.parse()?;
    let length = Duration::from_secs(seconds.parse()?);
    let store = Arc::new(Store::open(&location, StoreHooks::default()).await?);
    let amount = Amount::try_from_minor_units(1234, "EUR".parse()?)?;
    let began = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut stored = 0_u32;
                while began.elapsed() < length {
                    store.insert(NewTransaction::receive(amount, None)).await?;
                    stored += 1;
                }
                Ok::<_, StoreError>(stored)
            })
        })
        .collect();
    let mut stored = 0;
    for writer in writers {
        stored += writer.await??;
    }
    let rate = f64::from(stored) / began.elapsed().as_secs_f64();
    store.close().await;
    writeln!(std::io::stdout(), "{rate:.0}")?;
    Ok(())
}
