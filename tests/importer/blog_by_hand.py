"""The blog of compose/blog, as a person would declare it."""

from constructs_lib import (
    Claim,
    Component,
    Empty,
    Environment,
    Exec,
    ExternalSecrets,
    GitRepository,
    Http,
    InternetHost,
    K3d,
    LoadBalancer,
    Resources,
    StatefulSet,
    System,
    main,
    plain,
    supplied,
)

LOCAL = Environment(
    name="local",
    repository=GitRepository("https://github.com/example/blog.git"),
    cluster=K3d(kubernetes="1.36", nodes=1),
)
ROBOTS = "User-agent: *\nDisallow: /ghost/\n"


def blog(environment: Environment) -> System:
    """Declare the blog for one environment."""
    system = System(environment, "blog")
    ExternalSecrets(system, version="2.9.0")
    services = Component(system, "services", namespace="blog", prefix=False)
    mysql = StatefulSet(
        services,
        "mysql",
        image="mysql:8.4.3",
        args=["--character-set-server=utf8mb4"],
        ports={"mysql": 3306},
        env={
            "MYSQL_DATABASE": "ghost",
            "MYSQL_USER": "ghost",
            "MYSQL_PASSWORD_FILE": "/run/secrets/mysql_password",
            "MYSQL_RANDOM_ROOT_PASSWORD": plain("yes"),
        },
        files={"/run/secrets/mysql_password": supplied("password of the MySQL user ghost")},
        volumes={"/var/lib/mysql": Claim("10Gi")},
        readiness=Exec(["mysqladmin", "ping", "-h", "localhost"], period_seconds=30, timeout_seconds=5, failures=3),
        resources=Resources("100m", "1Gi", cpu_limit="1500m"),
    )
    blog = StatefulSet(
        services,
        "blog",
        image="ghost:5.101.4",
        ports={"http": 2368},
        env={
            "url": "https://blog.example.com",
            "database__client": "mysql",
            "database__connection__user": "ghost",
            "database__connection__database": "ghost",
            "mail__transport": "SMTP",
            "mail__options__host": "smtp.example.com",
            "mail__options__auth__pass": supplied("password at the mail provider"),
        },
        files={
            "/run/secrets/mysql_password": supplied("password of the MySQL user ghost"),
            "/etc/ghost/mail.key": supplied("key of the mail provider"),
            "/srv/robots/robots.txt": ROBOTS,
        },
        volumes={"/var/lib/ghost/content": Claim("10Gi"), "/var/cache/ghost": Empty()},
        internet=[InternetHost("blog.example.com")],
        readiness=Http("/ghost/api/admin/site/", "http", period_seconds=30, timeout_seconds=30, failures=3),
        start_seconds=300,
        exposed=LoadBalancer({"http": 8080}),
        user=1000,
    )
    blog.needs(mysql.endpoint("mysql"), {"database__connection__host": "host"})
    return system


if __name__ == "__main__":
    main(blog, [LOCAL])
