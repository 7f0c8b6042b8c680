use super::*;

fn shell(script: &str) -> Process {
    Process::start(Command::new("sh").args(["-c", script])).unwrap()
}

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_line_is_found_on_either_stream() {
    let mut process = shell("echo one; echo two >&2; echo port=7; exec sleep 60");
    let port = process.line("a port", SOON, |line| line.text.strip_prefix("port=")?.parse::<u16>().ok()).await.unwrap();
    assert_eq!(port, 7);
    process.line("two", SOON, |line| (line.stream == Stream::Err && line.text == "two").then_some(())).await.unwrap();
}

#[tokio::test]
async fn a_process_that_ends_early_is_reported_with_its_output() {
    let mut process = shell("echo no such file >&2; exit 3");
    let error = process.line("ready", SOON, |line| (line.text == "ready").then_some(())).await.unwrap_err().to_string();
    assert!(error.contains("sh ended (exit status: 3) while waiting for ready"), "{error}");
    assert!(error.contains("err| no such file"), "{error}");
}

#[tokio::test]
async fn a_deadline_is_kept_and_says_what_was_awaited() {
    let mut process = shell("echo loading; exec sleep 60");
    let address = free_port().unwrap();
    let error = process.accepts(address, Duration::from_millis(300)).await.unwrap_err().to_string();
    assert!(error.contains("waited 300ms in vain for"), "{error}");
    assert!(error.contains(&format!("{address} to accept connections")) && error.contains("out| loading"), "{error}");
}

#[tokio::test]
async fn a_dropped_process_is_gone() {
    let process = shell("exec sleep 60");
    let pid = process.pid();
    assert!(process.usage().unwrap().resident > 0);
    drop(process);
    assert!(Usage::of(pid).is_err());
}

#[tokio::test]
async fn a_process_can_be_asked_to_end() {
    let mut process = shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done");
    process.line("up", SOON, |line| (line.text == "up").then_some(())).await.unwrap();
    process.terminate().unwrap();
    assert!(process.exited(SOON).await.unwrap().success());
    process.line("bye", SOON, |line| (line.text == "bye").then_some(())).await.unwrap();
}

#[tokio::test]
async fn only_the_last_lines_are_kept_and_numbers_stay_true() {
    let mut process = shell("seq 1 150000; echo mark; sleep 0.2; echo after; exec sleep 60");
    process.line("mark", SOON, |line| (line.text == "mark").then_some(())).await.unwrap();
    assert_eq!(process.lines().len(), 100_000);
    assert_eq!(process.mark(), 150_001);
    let next = process.line_after(150_001, "after", SOON, |line| Some(line.text.clone())).await.unwrap();
    assert_eq!(next, "after");
    assert!(process.text().starts_with("(149802 lines before these)"), "{}", process.text());
}
