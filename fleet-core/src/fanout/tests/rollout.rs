//! Waves, retries, stragglers, and the rules by which a run ends early.

use super::*;

#[tokio::test(start_paused = true)]
async fn waves_are_told_before_their_hosts_and_kept_apart_by_the_delay() {
    let begun = Arc::new(Mutex::new(Vec::new()));
    let (times, start) = (Arc::clone(&begun), Instant::now());
    let task = Scripted(move |host: HostContext| {
        times.lock().unwrap().push((host.index(), start.elapsed().as_secs()));
        async move {
            tokio::time::sleep(Duration::from_secs(1 + host.index() as u64)).await;
            Outcome::Exited(0)
        }
    });
    let batch = Some(Share::Count(2));
    let delay = Duration::from_secs(10);
    let fanout = rollout(5, RolloutSettings { batch, delay, ..RolloutSettings::default() });
    let (renderer, shown) = recorder();
    let waves = Arc::clone(&renderer.waves);
    fanout.run(task, renderer, Signals::scripted().1).await;
    assert_eq!(*begun.lock().unwrap(), [(0, 0), (1, 0), (2, 12), (3, 12), (4, 26)]);
    assert_eq!(*waves.lock().unwrap(), [(0, 0..2), (4, 2..4), (8, 4..5)], "events before it, hosts");
    assert_eq!(shown.finished().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_waits_for_its_retry_leaves_its_place_to_others() {
    let starts = Arc::new(Mutex::new(Vec::new()));
    let order = Arc::clone(&starts);
    let task = Scripted(move |host: HostContext| {
        order.lock().unwrap().push((host.index(), host.attempt()));
        async move {
            match host.attempt() {
                1 if host.index() == 0 => Outcome::Failed(HostError::timeout(Stage::Banner, Duration::from_secs(1))),
                _ => Outcome::Exited(0),
            }
        }
    });
    let retry = RetrySettings { connections: 3, commands: 0, ..RetrySettings::default() };
    let fanout = rollout(3, RolloutSettings { retry, ..RolloutSettings::default() });
    let (renderer, shown) = recorder();
    let finished = Fanout { limit: FanoutLimit::exactly(1), ..fanout }.run(task, renderer, Signals::scripted().1).await;
    assert_eq!(*starts.lock().unwrap(), [(0, 1), (1, 1), (2, 1), (0, 2)]);
    assert_eq!(finished.status, ExitStatus::Success);
    assert_eq!(finished.report.attempts(0), 2);
    let events = shown.0.lock().unwrap();
    let mine: Vec<_> = events.iter().filter(|event| event.index == 0).map(|event| &event.event).collect();
    assert!(matches!(mine[..], [Event::Started, Event::Retry(_), Event::Finished(_)]), "{mine:?}");
}

#[tokio::test(start_paused = true)]
async fn a_straggler_is_told_to_stop_and_no_other_host_is() {
    let task = Scripted(|host: HostContext| async move {
        // The last host connects slowly, and its command is at work while the one before is stopped.
        let (connects_millis, takes_millis) =
            [(0, 1000), (0, 2000), (0, 3000), (0, 1_000_000), (2500, 3500)][host.index()];
        tokio::time::sleep(Duration::from_millis(connects_millis)).await;
        host.emit(Event::Stage(Stage::Command)).await;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(takes_millis)) => Outcome::Exited(0),
            () = host.cancel().cancelled() => stopped(),
        }
    });
    let straggler_percent = Some(200);
    let fanout = rollout(5, RolloutSettings { straggler_percent, ..RolloutSettings::default() });
    let finished = fanout.run(task, recorder().0, Signals::scripted().1).await;
    let reasons: Vec<_> = finished.report.outcomes().iter().map(Outcome::reason).collect();
    let late = Some("timed out after 4s (200% of the median 2s), stopped".to_owned());
    assert_eq!(reasons, [None, None, None, late, None]);
}

#[tokio::test]
async fn a_quorum_is_a_success_only_when_every_host_had_its_turn() {
    let quorum = Some(Share::Percent(50));
    for (max_fail, status) in [(None, ExitStatus::Success), (Some(Share::Count(0)), ExitStatus::Killed)] {
        let task = Scripted(|host: HostContext| async move { Outcome::Exited(u32::from(host.index() == 2)) });
        let fanout = rollout(4, RolloutSettings { quorum, max_fail, ..RolloutSettings::default() });
        let finished =
            Fanout { limit: FanoutLimit::exactly(1), ..fanout }.run(task, recorder().0, Signals::scripted().1).await;
        assert_eq!(finished.status, status, "{:?}", finished.report);
    }
}

#[tokio::test]
async fn kill_cancels_the_hosts_that_run_when_a_rule_is_broken() {
    let task = Scripted(|host: HostContext| async move {
        if host.index() == 1 {
            return Outcome::Exited(1);
        }
        host.cancel().cancelled().await;
        stopped()
    });
    let (max_fail, at_early_end) = (Some(Share::Count(0)), AtEarlyEnd::Stop);
    let fanout = rollout(3, RolloutSettings { max_fail, at_early_end, ..RolloutSettings::default() });
    let finished = fanout.run(task, recorder().0, Signals::scripted().1).await;
    assert_eq!(finished.report.outcomes(), [stopped(), Outcome::Exited(1), stopped()]);
    assert_eq!(finished.completion, Completion::Interrupted);
}
