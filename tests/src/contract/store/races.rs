//! Callers on several threads at once.

use super::*;
use crate::contract::block_on;
use std::thread;

const RIVALS: usize = 8;

/// Lets rivals commit the same condition at once and counts winners; the others must see a conflict.
fn winners(store: &dyn Store, write: &(dyn Fn(usize) -> Write + Sync)) -> usize {
    let start = std::sync::Barrier::new(RIVALS);
    let (start, write) = (&start, &write);
    thread::scope(|scope| {
        let rivals: Vec<_> = (0..RIVALS)
            .map(|n| {
                scope.spawn(move || {
                    start.wait();
                    match block_on(store.commit(vec![write(n)])) {
                        Ok(()) => 1,
                        Err(PortError::Conflict { .. }) => 0,
                        Err(other) => panic!("{other}"),
                    }
                })
            })
            .collect();
        rivals.into_iter().map(|rival| rival.join().unwrap()).sum()
    })
}

/// Of many who claim one version, exactly one has it.
pub async fn one_of_many_concurrent_claims_wins(store: &dyn Store) {
    let a = key("a");
    fill(store, std::slice::from_ref(&a)).await;
    for round in 1..=20 {
        let claim = |n: usize| put(&a, Condition::Version(round), &n.to_string());
        assert_eq!(winners(store, &claim), 1);
    }
    assert_eq!(version(store, &a).await, Some(21));
}

/// Of many who create one key, exactly one does, and its body stays.
pub async fn one_of_many_concurrent_creations_wins(store: &dyn Store) {
    for round in 0..20 {
        let a = key(&format!("{round}"));
        let create = |n: usize| put(&a, Condition::Absent, &n.to_string());
        assert_eq!(winners(store, &create), 1);
        assert_eq!(version(store, &a).await, Some(1));
    }
}

/// Read, add one, write under the version read: nothing is lost, whoever interferes.
pub async fn concurrent_counters_lose_nothing(store: &dyn Store) {
    let a = key("counter");
    store.commit(vec![put(&a, Condition::Absent, "0")]).await.unwrap();
    let add = async || loop {
        let found = store.load(&a, NOW).await.unwrap().unwrap();
        let next = found.body.parse::<u64>().unwrap() + 1;
        match store.commit(vec![put(&a, Condition::Version(found.version), &next.to_string())]).await {
            Ok(()) => return,
            Err(PortError::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| block_on(add())));
        }
    });
    assert_eq!(load(store, &a).await.unwrap().body.as_ref(), "100");
}
