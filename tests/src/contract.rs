//! One contract suite per port: what every adapter must do, case by case.
//!
//! A case is a plain `async fn` over `&dyn Port`. The macros `store_contract!`, `blobs_contract!`, `forge_contract!`,
//! `queue_contract!`, `notifier_contract!`, `launcher_contract!`, `clock_contract!` and `ids_contract!` make one named test per case for
//! the adapter that an expression creates; the expression yields the adapter and whatever must outlive it.
//! `each_case_is_in_its_macro` keeps a case from being written and never run.

pub mod blobs;
pub mod clock;
pub mod forge;
pub mod ids;
pub mod launcher;
pub mod notifier;
pub mod queue;
pub mod store;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on the calling thread; sleeps while the future waits for another thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// One named test per case of a suite; the other macros of this crate fill in suite and cases.
#[macro_export]
macro_rules! contract_tests {
    ($module:ident, $run:expr, $suite:ident, $make:expr, [$($case:ident),* $(,)?]) => {
        #[cfg(test)]
        mod $module {
            #[allow(unused_imports, clippy::allow_attributes, reason = "not every adapter needs them")]
            use super::*;
            $(
                #[test]
                fn $case() {
                    $run(async {
                        let (port, _outlives) = $make;
                        $crate::contract::$suite::$case(&port).await;
                    });
                }
            )*
        }
    };
}

/// The contract of `Store` for one adapter.
#[macro_export]
macro_rules! store_contract {
    ($module:ident, $make:expr) => {
        $crate::contract_tests!(
            $module,
            $crate::contract::block_on,
            store,
            $make,
            [
                what_is_put_can_be_loaded,
                absent_documents_are_none,
                the_version_counts_writes,
                absent_conflicts_with_what_exists,
                a_stale_version_conflicts,
                a_version_of_nothing_conflicts,
                delete_removes_and_a_new_document_starts_at_one,
                deleting_nothing_is_no_error,
                check_changes_nothing,
                a_failed_check_stops_the_commit,
                one_failed_condition_changes_nothing,
                the_conflict_names_the_first_failed_key,
                an_empty_commit_is_no_error,
                the_largest_commit_is_accepted,
                too_many_writes_are_denied,
                the_byte_limit_of_a_commit_is_exact,
                two_writes_of_one_key_are_denied,
                the_body_limit_is_exact,
                malformed_keys_are_denied,
                expired_documents_do_not_exist,
                an_expired_document_counts_as_absent,
                several_documents_are_read_at_once,
                query_answers_in_byte_order,
                query_stays_in_partition_and_prefix,
                query_goes_on_after_a_key,
                pages_join_to_the_whole,
                query_leaves_out_expired_documents,
                special_characters_survive,
                the_index_is_sparse_and_ordered,
                the_index_stops_at_upto_and_limit,
                index_entries_are_replaced_and_removed,
                one_of_many_concurrent_claims_wins,
                one_of_many_concurrent_creations_wins,
                concurrent_counters_lose_nothing,
            ]
        );
    };
}

/// The contract of `Blobs` for one adapter.
#[macro_export]
macro_rules! blobs_contract {
    ($module:ident, $make:expr) => {
        $crate::contract_tests!(
            $module,
            $crate::contract::block_on,
            blobs,
            $make,
            [
                what_is_put_can_be_fetched,
                a_put_replaces,
                a_missing_blob_is_not_found,
                put_absent_takes_a_free_key_only,
                a_range_is_cut_at_the_end,
                list_is_sorted_and_filtered,
                a_key_may_be_the_folder_of_another,
                delete_removes_and_may_be_repeated,
                bad_keys_are_denied,
                one_of_many_concurrent_put_absent_wins,
                compose_joins_pieces,
                readers_see_whole_blobs_only,
            ]
        );
    };
}

/// The contract of `Forge` for one adapter; `$run` drives its futures, the expression yields a [`forge::Known`].
#[macro_export]
macro_rules! forge_contract {
    ($module:ident, $make:expr) => {
        $crate::forge_contract!($module, $crate::contract::block_on, $make);
    };
    ($module:ident, $run:expr, $make:expr) => {
        $crate::contract_tests!(
            $module,
            $run,
            forge,
            $make,
            [
                names_and_commits_are_resolved,
                a_branch_comes_before_a_tag_of_its_name,
                what_is_not_there_is_not_found,
                files_are_those_of_their_commit,
                a_listing_is_what_detection_needs,
                what_is_dangerous_is_denied,
            ]
        );
    };
}

/// The contract of `Notifier` for one adapter; `$run` drives its futures, the expression yields a probe.
#[macro_export]
macro_rules! notifier_contract {
    ($module:ident, $run:expr, $make:expr) => {
        $crate::contract_tests!(
            $module,
            $run,
            notifier,
            $make,
            [
                what_is_delivered_was_accepted,
                the_same_parcel_comes_again_with_its_id,
                who_is_busy_or_absent_is_tried_later,
                who_refuses_and_what_is_hopeless_is_given_up,
                a_reason_repeats_nothing_of_the_receiver,
            ]
        );
    };
}

/// The contract of `Queue` for one adapter; `$run` drives its futures, the expression yields a probe.
#[macro_export]
macro_rules! queue_contract {
    ($module:ident, $make:expr) => {
        $crate::queue_contract!($module, $crate::contract::block_on, $make);
    };
    ($module:ident, $run:expr, $make:expr) => {
        $crate::contract_tests!(
            $module,
            $run,
            queue,
            $make,
            [
                every_wake_arrives,
                a_wake_can_be_sent_again,
                a_delayed_wake_is_not_early,
                a_delay_holds_up_nobody_else,
            ]
        );
    };
}

/// The contract of `Launcher` for one adapter with room for two runners that run until they are stopped;
/// `$run` may keep the tests of one process apart.
#[macro_export]
macro_rules! launcher_contract {
    ($module:ident, $make:expr) => {
        $crate::launcher_contract!($module, $crate::contract::block_on, $make);
    };
    ($module:ident, $run:expr, $make:expr) => {
        $crate::contract_tests!(
            $module,
            $run,
            launcher,
            $make,
            [
                a_launched_runner_is_live,
                launching_twice_starts_one_runner,
                attempts_are_different_runners,
                what_was_never_launched_is_unknown,
                a_stopped_runner_stays_stopped,
                stopping_twice_or_nothing_is_no_error,
                no_room_is_unavailable_until_one_stops,
            ]
        );
    };
}

/// The contract of `Clock` for one adapter.
#[macro_export]
macro_rules! clock_contract {
    ($module:ident, $make:expr) => {
        $crate::contract_tests!(
            $module,
            $crate::contract::block_on,
            clock,
            $make,
            [it_never_goes_back, it_counts_milliseconds_since_1970,]
        );
    };
}

/// The contract of `IdSource` for one adapter.
#[macro_export]
macro_rules! ids_contract {
    ($module:ident, $make:expr) => {
        $crate::contract_tests!(
            $module,
            $crate::contract::block_on,
            ids,
            $make,
            [
                ids_are_unique_and_sort_by_their_making,
                ids_are_of_version_seven,
                secrets_are_64_hexadecimal_digits,
                threads_share_no_id_and_no_secret,
            ]
        );
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Calm, Faults, FaultyBlobs, FaultyLauncher, FaultyStore};
    use crate::memory::{ManualClock, MemoryBlobs, MemoryForge, MemoryLauncher, MemoryStore, SeededIds};
    use shared::domain::time::Timestamp;
    use std::collections::BTreeSet;

    const START: Timestamp = Timestamp(1_767_225_600_000);

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(START))
    }

    store_contract!(memory_store, (MemoryStore::new(clock()), ()));
    store_contract!(
        store_behind_a_calm_plan,
        (FaultyStore::new(Arc::new(MemoryStore::new(clock())), Faults::new(Calm)), ())
    );
    blobs_contract!(memory_blobs, (MemoryBlobs::default(), ()));
    blobs_contract!(
        blobs_behind_a_calm_plan,
        (FaultyBlobs::new(Arc::new(MemoryBlobs::default()), Faults::new(Calm)), ())
    );
    forge_contract!(memory_forge, (memory_forge_known(), ()));
    queue_contract!(memory_queue, (queue::MemoryProbe::new(clock()), ()));
    launcher_contract!(memory_launcher, (MemoryLauncher::new(2), ()));
    launcher_contract!(
        launcher_behind_a_calm_plan,
        (FaultyLauncher::new(Arc::new(MemoryLauncher::new(2)), Faults::new(Calm)), ())
    );
    clock_contract!(manual_clock, (ManualClock::new(START), ()));
    ids_contract!(seeded_ids, (SeededIds::new(1), ()));

    fn memory_forge_known() -> forge::Known {
        let (memory, url) = (MemoryForge::default(), "https://example.org/known.git".to_owned());
        let first =
            memory.commit(&url, forge::FIRST, &["refs/heads/feature/x", "refs/tags/v1", "refs/tags/both"]);
        let second = memory.commit(&url, forge::SECOND, &["refs/heads/main", "HEAD", "refs/heads/both"]);
        forge::Known { forge: Arc::new(memory), url, first, second }
    }

    #[test]
    fn each_case_is_in_its_macro() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let text = include_str!("contract.rs");
        let words: BTreeSet<&str> = text.split(|c| !is_word(c)).collect();
        let suites = [
            include_str!("contract/store/commits.rs"),
            include_str!("contract/store/limits.rs"),
            include_str!("contract/store/queries.rs"),
            include_str!("contract/store/races.rs"),
            include_str!("contract/blobs.rs"),
            include_str!("contract/forge.rs"),
            include_str!("contract/queue.rs"),
            include_str!("contract/launcher.rs"),
            include_str!("contract/notifier.rs"),
            include_str!("contract/clock.rs"),
            include_str!("contract/ids.rs"),
        ];
        let named = |line: &str| Some(line.strip_prefix("pub async fn ")?.split('(').next()?.to_owned());
        let cases: Vec<String> = suites.iter().flat_map(|text| text.lines()).filter_map(named).collect();
        assert!(cases.len() > 50);
        let missing: Vec<_> = cases.iter().filter(|case| !words.contains(case.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn block_on_sleeps_until_another_thread_wakes_it() {
        let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = Arc::clone(&done);
        let waker_thread = std::thread::spawn(move || {
            let waker = receiver.recv().unwrap();
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            waker.wake();
        });
        block_on(std::future::poll_fn(|context| {
            if seen.load(std::sync::atomic::Ordering::SeqCst) {
                return Poll::Ready(());
            }
            drop(sender.send(context.waker().clone()));
            Poll::Pending
        }));
        waker_thread.join().unwrap();
    }
}
