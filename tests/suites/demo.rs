//! The demo with the live page.

use std::process::Stdio;
use step_observer_tests::admin::get_until;
use step_observer_tests::program::{Program, send_signal};
use step_observer_tests::sink::PATIENCE;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::time::timeout;

#[tokio::test]
async fn the_demo_shows_the_live_page_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Program::new();
    demo.args(["demo", "--page", "--speed", "max", "--out"])
        .arg(folder.path().join("out"))
        .stdout(Stdio::piped());
    let mut demo = demo.spawn().unwrap();
    let mut output = BufReader::new(demo.stdout.take().unwrap());
    let mut line_with = async |text: &str| loop {
        let mut line = String::new();
        let read = timeout(PATIENCE, output.read_line(&mut line)).await;
        assert!(read.expect(text).unwrap() > 0, "no line with {text}");
        if line.contains(text) {
            return line;
        }
    };
    let line = line_with("Live page: ").await;
    let address = line.trim().strip_prefix("Live page: http://").unwrap();
    let address = address.trim_end_matches('/').to_owned();
    let line = line_with("The recording has ended.").await;
    assert!(line.contains(&address) && line.contains("Ctrl-C"), "{line}");
    let (_, page) = get_until(&address, "/", |status, _| status == 200).await;
    assert!(page.contains("<title>"), "{page}");
    let delivered = |_, body: &str| body.contains("\"delivered\":13");
    get_until(&address, "/status", delivered).await;
    send_signal("INT", demo.id().unwrap());
    let status = timeout(PATIENCE, demo.wait()).await.unwrap().unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).await.unwrap();
    assert!(status.success(), "{rest}");
    assert!(rest.contains("13 events"), "{rest}");
}
