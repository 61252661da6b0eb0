//! What every engine must do alike.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use transactions::store::{
    Claim, ClaimRequest, Counts, Insertion, PageRequest, SettleResult, Settlement, Store,
    StoreError,
};
use transactions::{
    Amount, IdempotencyKey, NewTransaction, Outcome, Status, Transaction, TransactionId,
};

/// An empty store somewhere that can be opened as often as wanted, as several processes would.
pub(crate) trait Engine {
    async fn open(&self) -> Store;
}

/// Hands every case to `$each!`.
macro_rules! cases {
    ($each:ident) => {
        $each!(
            what_is_stored_is_read_back,
            what_was_acknowledged_is_there_after_reopening,
            each_of_many_lookups_gets_its_own,
            a_repeated_key_finds_the_first_transaction,
            racing_repeats_store_one_transaction,
            pages_are_newest_first_and_complete,
            counts_follow_every_change,
            claims_are_exclusive_and_oldest_first,
            a_lease_that_ran_out_returns_the_transaction,
            a_lost_claim_settles_nothing,
            nothing_is_settled_twice,
            released_claims_are_free_at_once,
            two_stores_on_one_place_share_everything,
            a_closed_store_says_so,
        );
    };
}
pub(crate) use cases;

pub(crate) fn new(amount: &str, key: Option<&str>) -> NewTransaction {
    let amount = Amount::try_parse(amount, "EUR".parse().unwrap()).unwrap();
    NewTransaction::receive(amount, key.map(|key| IdempotencyKey::try_new(key).unwrap()))
}

async fn create(store: &Store, amount: &str) -> Transaction {
    match store.insert(new(amount, None)).await.unwrap() {
        Insertion::Created(transaction) => transaction,
        other => panic!("{other:?}"),
    }
}

async fn claim(store: &Store, limit: u32, lease: Duration) -> Vec<Claim> {
    let holder = "suite".to_owned();
    store
        .claim(ClaimRequest {
            holder,
            limit,
            lease,
        })
        .await
        .unwrap()
}

const LONG: Duration = Duration::from_secs(60);

fn settled(claim: &Claim) -> Vec<Settlement> {
    vec![Settlement {
        ticket: claim.ticket,
        outcome: Outcome::Settled,
    }]
}

async fn list(store: &Store, limit: u16, status: Option<Status>) -> Vec<TransactionId> {
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let page = store
            .page(PageRequest {
                limit,
                cursor,
                status,
            })
            .await
            .unwrap();
        assert!(page.items.len() <= usize::from(limit));
        ids.extend(page.items.iter().map(|item| item.id));
        cursor = page.next;
        if cursor.is_none() {
            assert_eq!(page.count, ids.len() as u64);
            return ids;
        }
    }
}

pub(crate) async fn what_is_stored_is_read_back(engine: Arc<impl Engine>) {
    let store = engine.open().await;
    let request = new("12.34", Some("key"));
    let Insertion::Created(created) = store.insert(request.clone()).await.unwrap() else {
        panic!("not created");
    };
    assert_eq!((created.id, created.amount), (request.id, request.amount));
    assert_eq!(
        (created.status, created.settled_at),
        (Status::Pending, None)
    );
    assert_eq!(created.created_at, request.created_at);
    assert_eq!(store.get(created.id).await.unwrap(), Some(created));
    assert_eq!(store.get(TransactionId::generate()).await.unwrap(), None);
}

pub(crate) async fn what_was_acknowledged_is_there_after_reopening(engine: Arc<impl Engine>) {
    let store = engine.open().await;
    let created = create(&store, "1.00").await;
    store.close().await;
    let store = engine.open().await;
    assert_eq!(store.get(created.id).await.unwrap(), Some(created));
    assert_eq!(store.counts().await.unwrap().pending, 1);
}

pub(crate) async fn each_of_many_lookups_gets_its_own(engine: Arc<impl Engine>) {
    let store = Arc::new(engine.open().await);
    let mut lookups = tokio::task::JoinSet::new();
    for number in 1..=200 {
        let store = Arc::clone(&store);
        lookups.spawn(async move {
            let created = create(&store, &format!("{number}.00")).await;
            assert_eq!(store.get(created.id).await.unwrap(), Some(created));
            assert_eq!(store.get(TransactionId::generate()).await.unwrap(), None);
        });
    }
    lookups.join_all().await;
}

pub(crate) async fn a_repeated_key_finds_the_first_transaction(engine: Arc<impl Engine>) {
    let store = engine.open().await;
    let Insertion::Created(first) = store.insert(new("5.00", Some("k"))).await.unwrap() else {
        panic!("not created");
    };
    let repeat = store.insert(new("5.00", Some("k"))).await.unwrap();
    assert_eq!(repeat, Insertion::Replayed(first));
    let other = store.insert(new("5.01", Some("k"))).await.unwrap();
    assert_eq!(other, Insertion::KeyReused);
    let currency = "USD".parse().unwrap();
    let mut dollars = new("5.00", Some("k"));
    dollars.amount = Amount::try_parse("5.00", currency).unwrap();
    assert_eq!(store.insert(dollars).await.unwrap(), Insertion::KeyReused);
    assert_eq!(store.counts().await.unwrap().pending, 1);
}

pub(crate) async fn racing_repeats_store_one_transaction(engine: Arc<impl Engine>) {
    let stores = [Arc::new(engine.open().await), Arc::new(engine.open().await)];
    let racers: Vec<_> = (0..40)
        .map(|racer| {
            let store = Arc::clone(&stores[racer % 2]);
            tokio::spawn(async move { store.insert(new("5.00", Some("race"))).await.unwrap() })
        })
        .collect();
    let mut created = 0;
    let mut ids = HashSet::new();
    for racer in racers {
        match racer.await.unwrap() {
            Insertion::Created(transaction) => {
                created += 1;
                ids.insert(transaction.id);
            }
            Insertion::Replayed(transaction) => drop(ids.insert(transaction.id)),
            Insertion::KeyReused => panic!("the same request was taken for another"),
        }
    }
    assert_eq!((created, ids.len()), (1, 1));
}

pub(crate) async fn pages_are_newest_first_and_complete(engine: Arc<impl Engine>) {
    let store = engine.open().await;
    assert_eq!(list(&store, 3, None).await, []);
    let mut expected = Vec::new();
    for _ in 0..10 {
        expected.insert(0, create(&store, "1.00").await.id);
    }
    assert_eq!(list(&store, 3, None).await, expected);
    assert_eq!(list(&store, 10, None).await, expected);

    for done in claim(&store, 4, LONG).await {
        store.settle(settled(&done)).await.unwrap();
    }
    assert_eq!(list(&store, 3, Some(Status::Pending)).await, expected[..6]);
    assert_eq!(list(&store, 3, Some(Status::Settled)).await, expected[6..]);
    assert_eq!(list(&store, 3, Some(Status::Declined)).await, []);

    // A transaction that arrives between two pages neither repeats nor hides another.
    let first = PageRequest {
        limit: 5,
        cursor: None,
        status: None,
    };
    let first = store.page(first).await.unwrap();
    create(&store, "1.00").await;
    let rest = PageRequest {
        limit: 5,
        cursor: first.next,
        status: None,
    };
    let rest = store.page(rest).await.unwrap();
    let both: Vec<_> = first
        .items
        .iter()
        .chain(&rest.items)
        .map(|item| item.id)
        .collect();
    assert_eq!(both, expected);
}

pub(crate) async fn counts_follow_every_change(engine: Arc<impl Engine>) {
    let store = engine.open().await;
    assert_eq!(store.counts().await.unwrap(), Counts::default());
    let oldest = create(&store, "1.00").await;
    create(&store, "2.00").await;
    let third = create(&store, "3.00").await;
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.pending, counts.settled, counts.declined), (3, 0, 0));
    assert_eq!(counts.oldest_pending, Some(oldest.created_at));

    let claims = claim(&store, 2, LONG).await;
    let endings = vec![
        Settlement {
            ticket: claims[0].ticket,
            outcome: Outcome::Settled,
        },
        Settlement {
            ticket: claims[1].ticket,
            outcome: Outcome::Declined,
        },
    ];
    let results = store.settle(endings).await.unwrap();
    assert!(
        results
            .iter()
            .all(|result| matches!(result, SettleResult::Settled(_)))
    );
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.pending, counts.settled, counts.declined), (1, 1, 1));
    assert_eq!(counts.oldest_pending, Some(third.created_at));
    let declined = store.get(claims[1].ticket.id()).await.unwrap().unwrap();
    assert_eq!(declined.status, Status::Declined);
    assert!(declined.settled_at.unwrap() >= declined.created_at);
}

pub(crate) async fn claims_are_exclusive_and_oldest_first(engine: Arc<impl Engine>) {
    let stores = [Arc::new(engine.open().await), Arc::new(engine.open().await)];
    let mut expected = Vec::new();
    for _ in 0..30 {
        expected.push(create(&stores[0], "1.00").await.id);
    }
    let first = claim(&stores[0], 5, LONG).await;
    assert_eq!(
        first
            .iter()
            .map(|claim| claim.transaction.id)
            .collect::<Vec<_>>(),
        expected[..5]
    );

    let claimers: Vec<_> = (0..10)
        .map(|claimer| {
            let store = Arc::clone(&stores[claimer % 2]);
            tokio::spawn(async move { claim(&store, 4, LONG).await })
        })
        .collect();
    let mut claimed: Vec<_> = first.iter().map(|claim| claim.transaction.id).collect();
    for claimer in claimers {
        claimed.extend(
            claimer
                .await
                .unwrap()
                .iter()
                .map(|claim| claim.transaction.id),
        );
    }
    claimed.sort_unstable();
    assert_eq!(claimed, expected, "each exactly once");
    assert!(claim(&stores[0], 1, LONG).await.is_empty());
}

/// Claims again and again until something comes, as a worker does.
async fn claim_when_free(store: &Store) -> Claim {
    let patience = Duration::from_secs(10);
    let claiming = async {
        loop {
            if let Some(claim) = claim(store, 1, LONG).await.pop() {
                return claim;
            }
        }
    };
    tokio::time::timeout(patience, claiming)
        .await
        .expect("the lease never ran out")
}

pub(crate) async fn a_lease_that_ran_out_returns_the_transaction(engine: Arc<impl Engine>) {
    let store = engine.open().await;
    let created = create(&store, "1.00").await;
    let dead = claim(&store, 1, Duration::from_millis(50))
        .await
        .pop()
        .unwrap();
    let alive = claim_when_free(&store).await;
    assert_eq!(alive.transaction.id, created.id);
    assert_ne!(alive.ticket, dead.ticket);
}

pub(crate) async fn a_lost_claim_settles_nothing(engine: Arc<impl Engine>) {
    let store = engine.open().await;
    create(&store, "1.00").await;
    let lost = claim(&store, 1, Duration::from_millis(20))
        .await
        .pop()
        .unwrap();
    let held = claim_when_free(&store).await;
    assert_eq!(
        store.settle(settled(&lost)).await.unwrap(),
        [SettleResult::ClaimLost]
    );
    store.release(vec![lost.ticket]).await.unwrap();
    assert!(
        claim(&store, 1, LONG).await.is_empty(),
        "a lost claim frees nothing either"
    );
    let results = store.settle(settled(&held)).await.unwrap();
    assert!(matches!(results[..], [SettleResult::Settled(_)]));
}

pub(crate) async fn nothing_is_settled_twice(engine: Arc<impl Engine>) {
    let store = engine.open().await;
    create(&store, "1.00").await;
    let held = claim(&store, 1, LONG).await.pop().unwrap();
    store.settle(settled(&held)).await.unwrap();
    let first = store.get(held.transaction.id).await.unwrap();
    assert_eq!(
        store.settle(settled(&held)).await.unwrap(),
        [SettleResult::ClaimLost]
    );
    assert_eq!(store.get(held.transaction.id).await.unwrap(), first);
    assert_eq!(store.counts().await.unwrap().settled, 1);
}

pub(crate) async fn released_claims_are_free_at_once(engine: Arc<impl Engine>) {
    let store = engine.open().await;
    create(&store, "1.00").await;
    let held = claim(&store, 1, LONG).await.pop().unwrap();
    assert!(claim(&store, 1, LONG).await.is_empty());
    store.release(vec![held.ticket]).await.unwrap();
    assert_eq!(claim(&store, 1, LONG).await.len(), 1);
    assert_eq!(
        store.settle(settled(&held)).await.unwrap(),
        [SettleResult::ClaimLost]
    );
}

pub(crate) async fn two_stores_on_one_place_share_everything(engine: Arc<impl Engine>) {
    let stores = [Arc::new(engine.open().await), Arc::new(engine.open().await)];
    let writers: Vec<_> = (0..200)
        .map(|writer| {
            let store = Arc::clone(&stores[writer % 2]);
            tokio::spawn(async move { create(&store, "1.00").await.id })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.push(writer.await.unwrap());
    }
    acknowledged.sort_unstable_by(|a, b| b.cmp(a));
    for store in stores {
        assert_eq!(list(&store, 64, None).await, acknowledged);
        store.beat().await.unwrap();
    }
}

pub(crate) async fn a_closed_store_says_so(engine: Arc<impl Engine>) {
    let store = engine.open().await;
    store.close().await;
    assert_eq!(
        store.insert(new("1.00", None)).await,
        Err(StoreError::Closed)
    );
    assert_eq!(store.beat().await, Err(StoreError::Closed));
    let any = TransactionId::generate();
    assert_eq!(store.get(any).await, Err(StoreError::Closed));
    assert_eq!(store.counts().await.err(), Some(StoreError::Closed));
}
